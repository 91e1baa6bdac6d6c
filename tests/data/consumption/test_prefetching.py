"""Items made ahead on a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shoal.data._internal.consumption.prefetching import Prefetched


def test_items_come_in_order() -> None:
    assert list(Prefetched(iter(range(100)), 3)) == list(range(100))


def test_no_more_are_made_than_asked_for() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if len(made) == 4:
                enough.set()
            yield number

    prefetched = Prefetched(items(), 2)
    assert next(prefetched) == 0
    assert enough.wait(10)
    prefetched.close()
    assert len(made) <= 4, "one taken, two ready, one in the hand"


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    prefetched = Prefetched(items(), 5)
    assert next(prefetched) == 1
    with pytest.raises(KeyError, match="broken"):
        next(prefetched)
    with pytest.raises(StopIteration):
        next(prefetched)


def test_closing_ends_the_thread_and_the_iterator_below() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    prefetched = Prefetched(items(), 1)
    next(prefetched)
    prefetched.close()
    assert closed.wait(10)
    assert not [
        thread for thread in threading.enumerate() if thread.name == "shoal-data-prefetch" and thread.is_alive()
    ]
