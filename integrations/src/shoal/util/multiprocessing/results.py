"""The iterators that `imap` and `imap_unordered` return."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from shoal.util.remote_calls.remote_calls import RemoteCalls


class Results:
    """Iterates over the results of chunks as they are asked for. See `multiprocessing.pool.IMapIterator`.

    Args:
        calls: which make them.
        in_order: of the chunks; else as they come.
    """

    def __init__(self, calls: RemoteCalls, in_order: bool) -> None:
        self._calls = calls
        self._in_order = in_order
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._outcomes: dict[int, tuple[bool, Any]] = {}
        self._order: deque[int] = deque()
        self._next = 0
        self._count: int | None = None
        self._source_error: BaseException | None = None
        self._items: Iterator[Any] = iter(())

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """Returns the next result.

        Args:
            timeout: seconds to wait, None for no limit.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it was not there in time.
            Exception: what the function raised for an item of the chunk; the next call goes on with the next chunk.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            for item in self._items:
                return item
            returned, value = self._next_chunk(deadline)
            if not returned:
                raise value
            self._items = iter(value)

    def _next_chunk(self, deadline: float | None) -> tuple[bool, Any]:
        while True:
            with self._lock:
                key = self._next if self._in_order else (self._order[0] if self._order else -1)
                if key in self._outcomes:
                    self._next += 1
                    if not self._in_order:
                        self._order.popleft()
                    return self._outcomes.pop(key)
                if self._next == self._count:
                    if self._source_error is not None:
                        error, self._source_error = self._source_error, None
                        raise error
                    raise StopIteration
                self._arrived.clear()
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not self._calls.wait(self._arrived, left):
                raise multiprocessing.TimeoutError

    def listener(self, position: int) -> Callable[[bool, Any], None]:
        """Returns what hears of one of the chunks."""

        def hear(returned: bool, value: Any) -> None:
            with self._lock:
                self._outcomes[position] = returned, value
                self._order.append(position)
                self._arrived.set()

        return hear

    def end(self, count: int, error: BaseException | None = None) -> None:
        """All chunks are on their way: so many. `error` is what the iterable raised after them."""
        with self._lock:
            self._count = count
            self._source_error = error
            self._arrived.set()
