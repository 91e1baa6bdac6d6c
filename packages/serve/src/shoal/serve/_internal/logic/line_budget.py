"""How many lines a log may get: a token bucket that counts what it refuses."""

from __future__ import annotations


class LineBudget:
    """Gives leave to write lines.

    Args:
        per_second: lines a second, in the long run.
        burst: lines at once after a quiet time.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._rate = per_second
        self._burst = burst
        self._left = burst
        self._at = 0.0
        self._skipped = 0

    def take(self, now: float) -> int | None:
        """Returns how many lines were refused since the last one that was allowed; None refuses this one.

        Args:
            now: seconds, of a clock that does not go back.
        """
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            self._skipped += 1
            return None
        self._left -= 1
        skipped, self._skipped = self._skipped, 0
        return skipped
