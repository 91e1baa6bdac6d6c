"""`multiprocessing.Pool` on shoal."""

from __future__ import annotations

from multiprocessing import JoinableQueue as JoinableQueue
from multiprocessing import TimeoutError as TimeoutError  # noqa: A004 - the standard name
from multiprocessing.pool import ThreadPool as ThreadPool

from shoal.util.multiprocessing.async_result import AsyncResult as AsyncResult
from shoal.util.multiprocessing.pool import Pool as Pool

__all__ = ["AsyncResult", "JoinableQueue", "Pool", "ThreadPool", "TimeoutError"]
