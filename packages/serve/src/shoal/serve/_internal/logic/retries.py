"""When what has failed is tried again: after longer and longer pauses, and not for ever."""

from __future__ import annotations

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
MOST_TRIES = 10
"""One after another, of which none came to anything: half a minute in all."""


class Retries:
    """Of one thing."""

    def __init__(self) -> None:
        self._tries = 0

    def next_pause_s(self) -> float | None:
        """It has failed. Returns the seconds until it is worth another try; None where it is not."""
        if self._tries == MOST_TRIES:
            return None
        self._tries += 1
        return float(min(FIRST_PAUSE_S * 2 ** (self._tries - 1), LONGEST_PAUSE_S))

    def worked(self) -> None:
        """What fails from now on begins anew."""
        self._tries = 0
