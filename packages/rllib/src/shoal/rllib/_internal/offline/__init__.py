"""From recorded rows and episodes to batches, and from episodes to rows."""
