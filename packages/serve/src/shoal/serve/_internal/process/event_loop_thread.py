"""An event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class EventLoopThread:
    """Starts when it is first needed, and ends with the process.

    Args:
        name: of the thread.
        new_loop: makes the loop.
    """

    def __init__(self, name: str, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._name = name
        self._new_loop = new_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = self._new_loop()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
            return self._loop

    def run(self, coroutine: Any) -> Future[Any]:
        """Runs a coroutine there. Returns its outcome."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running())

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls a function there."""
        self._running().call_soon_threadsafe(function, *args)
