"""How long a coroutine holds the event loop before it waits for something for the first time."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def first_step_timed(coroutine: Coroutine[Any, Any, T], tell: Callable[[float], None]) -> Generator[Any, Any, T]:
    """Awaits a coroutine.

    Args:
        coroutine: which.
        tell: takes the seconds until it waited, or was over.
    """
    begun = time.perf_counter()
    try:
        waits_for = coroutine.send(None)
    except StopIteration as over:
        value: T = over.value
        return value
    finally:
        tell(time.perf_counter() - begun)
    while True:
        raised: BaseException | None = None
        try:
            yield waits_for
        except BaseException as error:
            raised = error
        try:
            waits_for = coroutine.send(None) if raised is None else coroutine.throw(raised)
        except StopIteration as over:
            value = over.value
            return value
