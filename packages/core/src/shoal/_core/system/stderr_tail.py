"""The last words of a process: a few lines of its standard error, chosen so that they say most about its end."""

from __future__ import annotations

from collections import deque

_LONGEST_LINE = 2000
# What faulthandler writes when a process crashes. The frames that matter come first, so of such a report the beginning
# is kept; what other threads were doing is not.
_CRASH = "Fatal Python error: "
_CRASHED_THREAD = "Current thread "


class StderrTail:
    """Keeps the last lines it is given; after a crash report has begun, that report's most telling lines.

    Args:
        size: how many lines to keep.
    """

    __slots__ = ("_crash", "_lines", "_size")

    def __init__(self, size: int = 20) -> None:
        self._size = size
        self._lines: deque[str] = deque(maxlen=size)
        self._crash: list[str] | None = None

    def add(self, line: str) -> None:
        if len(line) > _LONGEST_LINE:
            line = line[:_LONGEST_LINE] + "..."
        if line.startswith(_CRASH):
            self._crash = [line]
        elif self._crash is not None:
            self._add_to_crash(self._crash, line)
        else:
            self._lines.append(line)

    def _add_to_crash(self, crash: list[str], line: str) -> None:
        if line.startswith(_CRASHED_THREAD):
            del crash[1:]
        if len(crash) < self._size and line:
            crash.append(line)

    def lines(self) -> tuple[str, ...]:
        """Returns what is kept, oldest first; at most `size` lines."""
        crash = self._crash or []
        before = self._size - len(crash)
        return (*list(self._lines)[-before:], *crash) if before else tuple(crash)
