"""Makes the next items of an iterator on a thread while the consumer works on the last one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetched(Generic[T]):
    """An iterator over another one's items, so many of them made ahead. `close`, or its end, ends the thread.

    Args:
        items: what is iterated over, on a thread of its own.
        ahead: most items that are made and not taken (>= 1).
    """

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items = items
        self._ahead = ahead
        self._ready: deque[T] = deque()
        self._condition = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._make, name="shoal-data-prefetch", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            for item in self._items:
                with self._condition:
                    while len(self._ready) >= self._ahead and not self._closed:
                        self._condition.wait()
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._condition.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    def __iter__(self) -> Prefetched[T]:
        return self

    def __next__(self) -> T:
        with self._condition:
            while not self._ready and not self._ended:
                self._condition.wait()
            if self._ready:
                item = self._ready.popleft()
                self._condition.notify_all()
                return item
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def close(self) -> None:
        """Ends early."""
        with self._condition:
            self._closed = True
            self._ready.clear()
            self._condition.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()
