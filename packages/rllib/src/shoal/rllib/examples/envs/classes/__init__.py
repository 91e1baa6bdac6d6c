"""Environments to learn from, and to test with."""
