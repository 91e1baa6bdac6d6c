"""Whether an env runner that failed is replaced."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Decision(Enum):
    """What becomes of a runner that failed."""

    REPLACE = "replace"
    LEAVE_OUT = "leave out"
    RAISE = "raise"


@dataclass(frozen=True, slots=True)
class RestartSettings:
    """What `config.fault_tolerance()` says."""

    restart: bool
    ignore: bool
    most_restarts: int
    delay_s: float
    consecutive_failures: int


class Restarts:
    """Counts the failures of a group's runners, and decides by them. Knows no clock: times are handed in, in seconds.

    A runner's first failure is answered at once. One that fails again within `delay_s` is left out until that time is over, so
    long as others go on.
    """

    def __init__(self, settings: RestartSettings) -> None:
        self.settings = settings
        self.total = 0
        self._consecutive: dict[int, int] = {}
        self._stalls: dict[int, int] = {}
        self._last: dict[int, float] = {}

    def succeeded(self, index: int) -> None:
        """A runner has answered."""
        self._consecutive.pop(index, None)
        self._stalls.pop(index, None)

    def failed(self, index: int, now: float, *, others: int, stalled: bool = False) -> Decision:
        """A runner has died, or was ended as it hung.

        Args:
            index: which.
            now: the time.
            others: how many other runners go on.
            stalled: whether it hung. One that hangs twice without an answer between is given up: it will hang again.
        """
        if not self.settings.restart:
            return Decision.LEAVE_OUT if self.settings.ignore and others else Decision.RAISE
        count = self._consecutive[index] = self._consecutive.get(index, 0) + 1
        if stalled:
            self._stalls[index] = self._stalls.get(index, 0) + 1
            if self._stalls[index] > 1:
                return Decision.LEAVE_OUT if self.settings.ignore and others else Decision.RAISE
        if self.total >= self.settings.most_restarts or count > self.settings.consecutive_failures:
            return Decision.LEAVE_OUT if self.settings.ignore and others else Decision.RAISE
        if others and not self.is_due(index, now):
            return Decision.LEAVE_OUT
        self.replaced(index, now)
        return Decision.REPLACE

    def is_due(self, index: int, now: float) -> bool:
        """Returns whether enough time has gone by since the runner was replaced last."""
        last = self._last.get(index)
        return last is None or now - last >= self.settings.delay_s

    def may_come_back(self, index: int, now: float) -> bool:
        """Returns whether a runner that was left out is replaced now; it then counts as replaced."""
        if not self.settings.restart or self.total >= self.settings.most_restarts or not self.is_due(index, now):
            return False
        if self._stalls.get(index, 0) > 1:
            return False
        self.replaced(index, now)
        return True

    def replaced(self, index: int, now: float) -> None:
        """A runner is replaced, whatever the settings say."""
        self.total += 1
        self._last[index] = now
