"""How many calls travel together: pure arithmetic."""

from __future__ import annotations

FRAME_SECONDS = 0.002
"""How long a frame should take. Calls that take longer travel alone, so that none waits behind another one while a worker idles."""

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
        fitting = LARGEST_FRAME if self._seconds <= 0 else int(FRAME_SECONDS / self._seconds)
        return max(1, min(fitting, LARGEST_FRAME, -(-waiting // free)))
