"""Recorded data: what records it, what reads it, and what makes episodes of it. Loads neither torch nor shoal.data."""
