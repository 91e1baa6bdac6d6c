"""Blocks to what loops want: batches of a size, in a format, prefetched, shuffled locally, as tensors. No plan, no tasks."""
