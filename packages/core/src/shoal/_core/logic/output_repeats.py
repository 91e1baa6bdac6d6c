"""Which lines of worker output a driver shows, when many workers say the same.

The first of several like lines is shown at once. While other workers repeat it within the window, they are counted; at
the end of the window the last of them is shown with the count, and the next window begins. Lines of one worker alone
are all shown. Lines are alike when they differ only in words that hold a digit or a path, since those are progress,
times and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Line = tuple[str, int, bool, str]
"""(name, pid, whether it is stderr, text), as in the message `OutputLines`."""

_changing = re.compile(r"[\d/]")
_MOST_PATTERNS = 10_000
_HINT = " (set SHOAL_DEDUP_LOGS=0 to see every line)"


class _Pattern:
    """Lines that are alike, in one window."""

    __slots__ = ("count", "first_source", "last", "shared", "since")

    def __init__(self, since: float, source: tuple[str, int], last: Line) -> None:
        self.since = since
        self.first_source = source
        self.shared = False
        """Whether a second worker has said it."""
        self.count = 0
        """Lines that were not shown."""
        self.last = last


class OutputRepeats:
    """Decides which lines to show now and which to count.

    Args:
        window: seconds for which repeats are counted before they are shown as one; more than 0.
    """

    __slots__ = ("_hint", "_patterns", "_window")

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._patterns: dict[tuple[bool, str], _Pattern] = {}
        """By stream and what is alike; oldest window first."""
        self._hint = _HINT

    def add(self, now: float, lines: Iterable[Line], node: str = "") -> list[Line]:
        """Takes lines that arrived.

        Args:
            now: the time in seconds, from any clock that only goes forward.
            lines: what workers of one node printed, in order.
            node: that node, since pids alone do not tell workers of several apart.

        Returns:
            The lines to show now, those of `flush(now)` included.
        """
        shown = self.flush(now)
        patterns = self._patterns
        for line in lines:
            key = (line[2], _what_is_alike(line[3]))
            if not key[1]:
                shown.append(line)
                continue
            pattern = patterns.get(key)
            source = (node, line[1])
            if pattern is None:
                patterns[key] = _Pattern(now, source, line)
                shown.append(line)
            elif pattern.shared or source != pattern.first_source:
                pattern.shared = True
                pattern.count += 1
                pattern.last = line
            else:
                shown.append(line)
        while len(patterns) > _MOST_PATTERNS:
            self._end_oldest(shown)
        return shown

    def flush(self, now: float) -> list[Line]:
        """Returns the repeats whose window is over, to be shown now."""
        shown: list[Line] = []
        patterns = self._patterns
        while patterns:
            key, pattern = next(iter(patterns.items()))
            if now - pattern.since < self._window:
                break
            self._end_oldest(shown)
            if pattern.count > 1:
                pattern.since = now
                pattern.count = 0
                patterns[key] = pattern
        return shown

    def flush_all(self) -> list[Line]:
        """Returns all repeats that were not shown yet, and forgets everything; for the end of the session."""
        shown: list[Line] = []
        while self._patterns:
            self._end_oldest(shown)
        return shown

    def due(self) -> float | None:
        """Returns when to call `flush` next if no line comes before; None where nothing waits."""
        if not self._patterns:
            return None
        return next(iter(self._patterns.values())).since + self._window

    def _end_oldest(self, shown: list[Line]) -> None:
        pattern = self._patterns.pop(next(iter(self._patterns)))
        if pattern.count == 1:
            shown.append(pattern.last)
        elif pattern.count > 1:
            name, pid, is_stderr, text = pattern.last
            shown.append((name, pid, is_stderr, f"{text} [repeated {pattern.count}x across cluster]{self._hint}"))
            self._hint = ""


def _what_is_alike(text: str) -> str:
    """Returns the words of a line without those that change from one worker or step to the next."""
    if text.isalpha():
        return text
    return " ".join([word for word in text.split() if not _changing.search(word)])
