"""Which trials say nothing, and since when. Times are of the caller's clock."""

from __future__ import annotations

WARN_AFTER = 600.0
"""Seconds after which a silent trial is warned of, where nothing ends it."""
ANSWER = 5.0
"""Seconds that a process has to say where its trial is."""


class Silences:
    """Those of a search, by the number of the executor.

    Args:
        limit: seconds that a trial may go without a report; None where it may for ever.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._patience = WARN_AFTER if limit is None else limit
        self._heard: dict[int, float] = {}
        self._asked: dict[int, float] = {}
        """Until when an answer may come."""
        self._warned: set[int] = set()
        self._check_at: float | None = None

    @property
    def next_deadline(self) -> float | None:
        """When `due` has to be called: at the latest; reports move it only when it is called."""
        return self._check_at

    def heard(self, number: int, now: float) -> None:
        """A trial has begun, or reported."""
        self._heard[number] = now
        was_asked = self._asked.pop(number, None) is not None if self._asked else False
        if self._check_at is None or was_asked:
            self._check_at = min(self._check_at or now + self._patience, now + self._patience)

    def gone(self, number: int) -> None:
        """A trial has ended."""
        self._heard.pop(number, None)
        self._asked.pop(number, None)
        self._warned.discard(number)
        if not self._heard:
            self._check_at = None

    def asked(self, number: int, now: float) -> None:
        """A trial's process was asked where it is."""
        self._asked[number] = now + ANSWER
        self._check_at = now + ANSWER if self._check_at is None else min(self._check_at, now + ANSWER)

    def is_asked(self, number: int) -> bool:
        """Whether an answer is awaited, and nothing was heard since."""
        return number in self._asked

    def due(self, now: float) -> tuple[list[int], list[int]]:
        """Returns who has been silent for too long and was not asked or warned of yet, and who has not answered in time."""
        if self._check_at is None or now < self._check_at:
            return [], []
        silent, dumb = [], []
        deadlines = []
        for number, heard in self._heard.items():
            if number in self._warned:
                continue
            deadline = self._asked.get(number, heard + self._patience)
            if now < deadline:
                deadlines.append(deadline)
            elif number in self._asked:
                dumb.append(number)
            else:
                silent.append(number)
        if self.limit is None:
            self._warned.update(silent)
        self._check_at = min(deadlines, default=None)
        return silent, dumb
