"""The version of shoal-serve."""

__version__ = "0.1.0"
