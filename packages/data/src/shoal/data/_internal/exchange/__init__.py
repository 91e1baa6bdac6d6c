"""What needs all blocks: shuffle, sort, group, join, repartition; its map and merge halves."""
