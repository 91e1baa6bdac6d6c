"""Virtual time: what happens when. Nothing here waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Happening:
    """Something that is going to happen, unless it is cancelled."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Agenda:
    """All that is going to happen, in the order of time; of what happens at one time, what was planned first comes first."""

    def __init__(self) -> None:
        self.now = 0.0
        """Seconds."""
        self.steps = 0
        self._heap: list[tuple[float, int, Happening]] = []
        self._planned = 0

    def at(self, when: float, action: Callable[[], None]) -> Happening:
        """Plans an action; a time that is over means now."""
        happening = Happening(max(when, self.now), action)
        self._planned += 1
        heapq.heappush(self._heap, (happening.when, self._planned, happening))
        return happening

    def after(self, seconds: float, action: Callable[[], None]) -> Happening:
        return self.at(self.now + seconds, action)

    def step(self) -> bool:
        """Lets the next thing happen. Returns False where nothing is planned."""
        while self._heap:
            when, _, happening = heapq.heappop(self._heap)
            action = happening.action
            if action is not None:
                self.now = when
                self.steps += 1
                action()
                return True
        return False
