"""Aggregations: states of blocks, joined, and made results. No IO, no tasks."""
