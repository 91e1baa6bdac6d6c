"""Pieces between episodes, modules, environments and learners."""
