"""Spaces of observations and actions."""
