"""Blocks are Arrow tables: making them, joining them, turning them into the batches that users want. No IO, no tasks."""
