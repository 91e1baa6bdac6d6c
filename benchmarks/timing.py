"""Stop-watches."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from rows import Size


def per_second(operation: Callable[[], object], amount: float, size: Size) -> float:
    """How much of `amount` a second, where each call of `operation` does `amount` of it; warmed up."""
    end = perf_counter() + size.seconds / 2
    while True:
        operation()
        if perf_counter() >= end:
            break
    calls = 0
    start = perf_counter()
    while True:
        operation()
        calls += 1
        elapsed = perf_counter() - start
        if elapsed >= size.seconds:
            return calls * amount / elapsed


def seconds(operation: Callable[[], object]) -> float:
    """How long one call takes."""
    start = perf_counter()
    operation()
    return perf_counter() - start
