"""What becomes of a call: settled once, on any thread; waited for on threads and on event loops. Lighter than a Future, of which each call
would need two."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from shoal.serve._internal.process.loop_mailbox import running_mailbox


class Outcome:
    """A value or an error, once it is there."""

    __slots__ = ("_callbacks", "_error", "_lock", "_value", "is_settled")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_settled = False

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Sets it, unless it is set."""
        with self._lock:
            if self.is_settled:
                return
            self._value, self._error = value, error
            self.is_settled = True
            # They refer to this: kept, they would be left to the garbage collector.
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Calls a function then, or now: on any thread."""
        with self._lock:
            if not self.is_settled:
                self._callbacks.append(callback)
                return
        callback()

    @property
    def error(self) -> BaseException | None:
        """Of one that is settled."""
        return self._error

    def value(self) -> Any:
        """Returns the value of one that is settled, or raises its error."""
        if self._error is not None:
            raise self._error
        return self._value

    def wait(self, timeout_s: float | None) -> Any:
        """Returns the value when it is there, or raises its error. Blocks.

        Args:
            timeout_s: seconds; None for no limit.

        Raises:
            TimeoutError: it is not there in time.
        """
        if not self.is_settled:
            there = threading.Lock()
            there.acquire()
            self.when_settled(there.release)
            if not there.acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0)):
                raise TimeoutError(f"no answer within {timeout_s:g} s")
        return self.value()

    async def awaited(self) -> Any:
        """Does the same on an event loop."""
        if self.is_settled:
            return self.value()
        mailbox = running_mailbox()
        here: asyncio.Future[Any] = mailbox.loop.create_future()
        self.when_settled(lambda: mailbox.settle(here, self._value, self._error))
        return await here
