"""What is to run on an asyncio loop, on its way there from other threads: functions that come together wake the loop once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class LoopWakeups:
    """Functions for one loop, in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._due: deque[Callable[[], None]] = deque()
        self._woken = False

    def call(self, function: Callable[[], None]) -> None:
        """Has the loop call a function soon; never, where it is closed. Safe from all threads."""
        self._due.append(function)
        # The flag goes down before the functions are taken: one that comes later wakes the loop again.
        if self._woken:
            return
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._run)
        except RuntimeError:
            self._due.clear()
            self._woken = False

    def _run(self) -> None:
        self._woken = False
        try:
            for _ in range(len(self._due)):
                self._due.popleft()()
        finally:
            if self._due and not self._woken:
                # One raised: those behind it are called all the same.
                self._woken = True
                self.loop.call_soon(self._run)


class _OfThread(threading.local):
    wakeups: LoopWakeups | None = None


_OF_THREAD = _OfThread()


def wakeups_of(loop: asyncio.AbstractEventLoop) -> LoopWakeups:
    """Returns those of the loop that runs in this thread."""
    found = _OF_THREAD.wakeups
    if found is None or found.loop is not loop:
        found = _OF_THREAD.wakeups = LoopWakeups(loop)
    return found
