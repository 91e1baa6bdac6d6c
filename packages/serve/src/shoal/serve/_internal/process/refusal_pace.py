"""Requests that are turned away, a few at a time: who asks again at once leaves time for those that were taken on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 16
EVERY_S = 0.001


class RefusalPace:
    """Of one event loop. Has `AT_ONCE` requests turned away every `EVERY_S` seconds at most, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def refuse(self, turn_away: Callable[[], None]) -> None:
        """Has a request turned away: in a later turn of the loop."""
        self._waiting.append(turn_away)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._go_on)

    async def turn(self) -> None:
        """Returns when a request may be turned away."""
        come = asyncio.Event()
        self.refuse(come.set)
        await come.wait()

    def _go_on(self) -> None:
        self._timer = None
        waiting = self._waiting
        for _ in range(min(AT_ONCE, len(waiting))):
            waiting.popleft()()
        if waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._go_on)
