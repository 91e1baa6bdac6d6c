"""How many calls travel together: pure arithmetic."""

from __future__ import annotations

FRAME_SECONDS = 0.002
"""How long a frame should take. Calls that take longer travel alone, so that none waits behind another one while a worker idles."""

SHORTEST_FRAME_SECONDS = 0.0001
"""Calls that take less together are not shared out among slots: about what a frame of its own costs."""

LARGEST_FRAME = 1000
_WEIGHT = 0.5


class Pace:
    """How long one function's calls take.

    Until something is known of it, calls travel alone. One long call makes the next frames small again.
    """

    def __init__(self) -> None:
        self._seconds: float | None = None

    def learn(self, calls: int, seconds: float) -> None:
        """Notes that so many calls took so many seconds."""
        each = seconds / calls
        self._seconds = each if self._seconds is None else max(each, (1 - _WEIGHT) * self._seconds + _WEIGHT * each)

    def frame_size(self, waiting: int, free: int) -> int:
        """Returns how many of the calls that wait are to travel in the next frame.

        Args:
            waiting: calls, at least 1.
            free: slots, at least 1, among which they are shared out.
        """
        if self._seconds is None:
            return 1
        if waiting <= free:
            return 1
        share = max(-(-waiting // free), self._calls_in(SHORTEST_FRAME_SECONDS))
        return max(1, min(self._calls_in(FRAME_SECONDS), share, waiting))

    def _calls_in(self, seconds: float) -> int:
        return LARGEST_FRAME if not self._seconds else min(LARGEST_FRAME, int(seconds / self._seconds))
