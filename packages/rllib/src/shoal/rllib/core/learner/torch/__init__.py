"""Learners of PyTorch."""
