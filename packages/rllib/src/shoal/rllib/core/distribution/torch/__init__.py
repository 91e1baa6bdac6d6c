"""Distributions over actions, in PyTorch."""
