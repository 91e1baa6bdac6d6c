"""Write down what trials report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.air.callback import LoggerCallback
from shoal.tune.logger.csv import CSVLoggerCallback
from shoal.tune.logger.json import JsonLoggerCallback
from shoal.tune.logger.pretty_print import pretty_print

if TYPE_CHECKING:
    from shoal.tune.logger.tensorboardx import TBXLoggerCallback as TBXLoggerCallback

__all__ = ["CSVLoggerCallback", "JsonLoggerCallback", "LoggerCallback", "pretty_print"]


def __getattr__(name: str) -> Any:
    # Loads a library that a search need not have.
    if name == "TBXLoggerCallback":
        from shoal.tune.logger.tensorboardx import TBXLoggerCallback

        return TBXLoggerCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
