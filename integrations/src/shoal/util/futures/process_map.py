"""A map with a progress bar."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from operator import length_hint
from typing import Any, TypeVar

from shoal.util.futures.executor import Executor

T = TypeVar("T")


def process_map(
    fn: Callable[..., T],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int = 1,
    tqdm_class: Any = None,
    **tqdm_options: Any,
) -> list[T]:
    """Stands in for `tqdm.contrib.concurrent.process_map`: a map in the session's workers whose progress is shown here.

    Args:
        fn: a function of an item of each iterable.
        iterables: of items; the shortest ends the map.
        max_workers: how many calls run at once; by default as many as the session has CPUs.
        chunksize: how many items travel as one call.
        tqdm_class: the progress bar, by default `tqdm.auto.tqdm`.
        tqdm_options: its arguments. `total` is found out by itself where the first iterable has a length.

    Returns:
        The results, in order.

    Raises:
        ImportError: tqdm is not installed.
        ValueError: max_workers or chunksize is not positive.
        Exception: what the function raised.

    Example:
        >>> from shoal.util.futures import process_map
        >>> process_map(abs, [-1, 2], max_workers=2, disable=True)
        [1, 2]
    """
    if tqdm_class is None:
        tqdm_class = importlib.import_module("tqdm.auto").tqdm
    tqdm_options.setdefault("total", length_hint(iterables[0]) or None if iterables else None)
    # The standard library's executors share tqdm's lock with their processes; here only this process writes.
    tqdm_options.pop("lock_name", None)
    with Executor(max_workers) as executor:
        return list(tqdm_class(executor.map(fn, *iterables, chunksize=chunksize), **tqdm_options))
