"""`concurrent.futures` on shoal."""

from __future__ import annotations

from shoal.util.futures.executor import Executor as Executor
from shoal.util.futures.process_map import process_map as process_map

__all__ = ["Executor", "process_map"]
