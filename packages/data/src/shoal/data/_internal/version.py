"""The version of shoal-data, and nothing else."""

__version__ = "0.1.0"
