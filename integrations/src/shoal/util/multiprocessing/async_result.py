"""What the pool's asynchronous calls return."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from shoal.util.remote_calls.remote_calls import RemoteCalls

T = TypeVar("T")


class AsyncResult(Generic[T]):
    """The result of a call, or of a map, that may not be there yet. See `multiprocessing.pool.AsyncResult`.

    Args:
        calls: which make it.
        count: of the calls that it consists of.
        join: makes the result of theirs.
        callback: called with the result before `get` returns.
        error_callback: called with the error before `get` raises it.
    """

    def __init__(
        self,
        calls: RemoteCalls,
        count: int,
        join: Callable[[list[Any]], T],
        callback: Callable[[T], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._calls = calls
        self._join = join
        self._callback = callback
        self._error_callback = error_callback
        self._event = threading.Event()
        self._parts: list[Any] = [None] * count
        self._left = count
        self._error: BaseException | None = None
        self._result: Any = None
        if count == 0:
            # As in the standard library, nobody is called back for a map of nothing.
            self._result = join([])
            self._event.set()

    def get(self, timeout: float | None = None) -> T:
        """Returns the result.

        Args:
            timeout: seconds to wait, None for no limit.

        Raises:
            multiprocessing.TimeoutError: it was not there in time.
            Exception: what the function raised; of a map, the first that any of its chunks raised.
        """
        self.wait(timeout)
        if not self._event.is_set():
            raise multiprocessing.TimeoutError
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the result is there, or `timeout` seconds have passed."""
        self._calls.wait(self._event, timeout)

    def ready(self) -> bool:
        """Returns whether the call has ended."""
        return self._event.is_set()

    def successful(self) -> bool:
        """Returns whether the call has ended without an error. Raises ValueError where it has not ended."""
        if not self._event.is_set():
            raise ValueError(f"{self!r} is not ready")
        return self._error is None

    def listener(self, position: int) -> Callable[[bool, Any], None]:
        """Returns what hears of one of the calls."""

        def hear(returned: bool, value: Any) -> None:
            if returned:
                self._parts[position] = value
            elif self._error is None:
                self._error = value
            self._left -= 1
            if self._left == 0:
                self._finish()

        return hear

    def _finish(self) -> None:
        try:
            if self._error is None:
                self._result = self._join(self._parts)
                self._parts.clear()
                if self._callback is not None:
                    self._callback(self._result)
            elif self._error_callback is not None:
                self._error_callback(self._error)
        finally:
            self._event.set()
