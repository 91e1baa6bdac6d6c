"""Requests that are turned away, a few at a time: who asks again at once leaves time for those that were taken on."""

from __future__ import annotations

import asyncio
from collections import deque

from shoal.serve._internal.process.router import Call

AT_ONCE = 16
EVERY_S = 0.001


class RefusalPace:
    """Of one event loop. Turns `AT_ONCE` requests away every `EVERY_S` seconds at most, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Call, BaseException]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def refuse(self, call: Call, error: BaseException) -> None:
        """Ends a call with an error: in a later turn of the loop."""
        self._waiting.append((call, error))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        waiting = self._waiting
        for _ in range(min(AT_ONCE, len(waiting))):
            call, error = waiting.popleft()
            call.done(None, error)
        if waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._go_on)
