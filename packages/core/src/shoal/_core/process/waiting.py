"""How threads and callbacks wait for objects."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Waiter:
    """One thread that waits for some number of objects. `notify` is called under the client's lock."""

    __slots__ = ("_wake", "failed", "remaining")

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining
        self.failed = False
        """An object ended in an error: whoever waits for all need not wait for the rest."""
        self._wake = threading.Lock()
        self._wake.acquire()

    def notify(self, is_error: bool) -> None:
        if self.remaining <= 0:
            return
        self.remaining -= 1
        if is_error and self.failed_fast:
            self.failed = True
            self.remaining = 0
        if self.remaining == 0:
            self._wake.release()

    failed_fast = True

    def cancel(self) -> None:
        """Wakes the thread whatever is missing. Under the client's lock."""
        if self.remaining > 0:
            self.remaining = 0
            self._wake.release()

    def wait(self, timeout: float | None) -> bool:
        """Blocks until all are there, or one has failed. Returns False after `timeout` seconds (None: no limit)."""
        return self._wake.acquire(timeout=-1 if timeout is None else timeout)


class CountWaiter(Waiter):
    """Waits for a number of objects, failed or not (for `wait`)."""

    __slots__ = ()
    failed_fast = False


class CallbackWaiter:
    """Calls back once when an object is there; the client runs the callback outside its lock."""

    __slots__ = ("callback", "run")

    def __init__(self, callback: Callable[[], None], run: Callable[[Callable[[], None]], None]) -> None:
        self.callback = callback
        self.run = run

    def notify(self, is_error: bool) -> None:
        self.run(self.callback)


class Reply:
    """A reply that one thread waits for."""

    __slots__ = ("_wake", "message")

    def __init__(self) -> None:
        self.message: object = None
        self._wake = threading.Lock()
        self._wake.acquire()

    def set(self, message: object) -> None:
        self.message = message
        self._wake.release()

    def wait(self, timeout: float | None) -> bool:
        return self._wake.acquire(timeout=-1 if timeout is None else timeout)
