"""Futures that have not ended: Ray forgets them when it is shut down."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any


class OpenFutures:
    """All futures of a session's references that somebody may wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: weakref.WeakSet[Future[Any]] = weakref.WeakSet()

    def new(self) -> Future[Any]:
        """Returns a future that ends with the session at the latest."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._futures.add(future)
        return future

    def end(self, error: Exception) -> None:
        """Ends all that have not ended, with an error."""
        with self._lock:
            left = list(self._futures)
        for future in left:
            with suppress(InvalidStateError):
                future.set_exception(error)
