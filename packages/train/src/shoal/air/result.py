"""AIR's name for the module of results."""

from shoal.train.result import Result

__all__ = ["Result"]
