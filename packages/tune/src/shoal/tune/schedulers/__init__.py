"""Decide which trials run on, wait or end."""
