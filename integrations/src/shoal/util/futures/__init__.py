"""`concurrent.futures` on shoal."""

from __future__ import annotations

from shoal.util.futures.executor import Executor as Executor

__all__ = ["Executor"]
