"""What shall be computed: logical operators and their optimiser. Pure: no IO, no tasks, no block is read."""
