"""Environments and programs to learn from, and to test with."""
