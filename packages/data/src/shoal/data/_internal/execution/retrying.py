"""Doing again what failed, where the user has said for which errors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

IO_RETRIES = 5
"""So often a task of reading or writing begins again."""
_FIRST_PAUSE_SECONDS = 0.1
"""Before the first retry of IO; each later pause is twice as long."""

Errors = bool | Sequence[str | type[BaseException]]
"""True for all; or types, and parts of what an error says."""


def is_among(error: BaseException, errors: Errors) -> bool:
    """Whether an error is one of those."""
    if isinstance(errors, bool):
        return errors and isinstance(error, Exception)
    text = f"{type(error).__name__}: {error}"
    return any(item in text if isinstance(item, str) else isinstance(error, item) for item in errors)


def retried(call: Callable[[], T], errors: Errors, times: int) -> T:
    """Returns what a call returns; after one of these errors it is called again, up to so many times."""
    for _ in range(times):
        try:
            return call()
        except Exception as error:
            if not is_among(error, errors):
                raise
    return call()


async def retried_async(call: Callable[[], Awaitable[T]], errors: Errors, times: int) -> T:
    """The same for what is awaited."""
    for _ in range(times):
        try:
            return await call()
        except Exception as error:
            if not is_among(error, errors):
                raise
    return await call()


def read_again(make: Callable[[], Iterator[T]], errors: Errors, times: int = IO_RETRIES) -> Iterator[T]:
    """Yields what an iterator yields; after one of these errors it is made anew, and what has been yielded is passed over.

    Args:
        make: an iterator that yields the same each time.
        errors: after which it is made anew.
        times: how often at most.
    """
    seen = 0
    for attempt in range(times + 1):
        position = 0
        try:
            for item in make():
                position += 1
                if position > seen:
                    seen = position
                    yield item
            return
        except Exception as error:
            if attempt == times or not is_among(error, errors):
                raise
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
