"""Files that lines are added to: gathered in memory, and written when there are many or some time has passed.

What has been written is never lost by a crash of the program. A file that went on after what a restored search knows is cut back.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

logger = logging.getLogger(__name__)

FULL = 64 * 1024
"""Bytes of one file that wait at most."""
LATEST = 0.2
"""Seconds that lines wait at most while the search's loop turns."""


class LogFile:
    """One file.

    Args:
        path: of the file; its folder is made where it is not there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._waiting: list[bytes] = []
        self._size = 0
        self._has_failed = False

    def add(self, line: bytes) -> None:
        """Takes a line, with its end."""
        self._waiting.append(line)
        self._size += len(line)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that it should be written."""
        return self._size >= FULL

    def flush(self) -> bool:
        """Writes what waits. Returns whether all of it was; the rest waits on, and a warning says why."""
        if not self._waiting:
            return True
        data = b"".join(self._waiting)
        written = 0
        try:
            heading = self._prepare()
            data = heading + data
            with _opened(self.path, "ab") as file:
                while written < len(data):
                    written += file.write(data[written:])
        except OSError as error:
            if not self._has_failed:
                logger.warning("%s: results cannot be written (%s); they are kept, and tried again", self.path, error)
            self._has_failed = True
            # What comes before the lines is made anew for the next try, unless a part of it is written.
            rest = data[written:] if written else b"".join(self._waiting)
            if written:
                self._written()
            self._waiting, self._size = [rest], len(rest)
            return False
        self._waiting, self._size, self._has_failed = [], 0, False
        self._written()
        return True

    def _prepare(self) -> bytes:
        """Changes what is in the file before lines are added. Returns what comes before them. Raises OSError."""
        return b""

    def _written(self) -> None:
        """All lines are in the file."""


def _opened(path: str, mode: Literal["ab", "wb"]) -> io.FileIO:
    try:
        return open(path, mode, buffering=0)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, mode, buffering=0)


class FlushSchedule:
    """Which of a logger's files are written when.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._dirty: dict[int, LogFile] = {}

    def added(self, file: LogFile) -> None:
        """A line was added to a file."""
        if file.is_full:
            self.flush(file)
        else:
            self._dirty[id(file)] = file

    def turn_ended(self) -> None:
        """The search's loop has turned: writes what has waited long enough."""
        if self._dirty and self._clock() - self._last >= LATEST:
            self.flush_all()

    def flush(self, file: LogFile) -> None:
        """Writes one file."""
        if file.flush():
            self._dirty.pop(id(file), None)
        else:
            self._dirty[id(file)] = file

    def flush_all(self) -> None:
        """Writes all files."""
        for file in list(self._dirty.values()):
            self.flush(file)
        self._last = self._clock()


def kept_lines(iterations: Sequence[int | None], following: int) -> int:
    """Returns how many lines of a file stay when a trial goes on.

    Args:
        iterations: of each line; None for one that is not whole.
        following: the iteration of the line that comes next. The file is cut after the last line of an earlier one.
    """
    for number in range(len(iterations), 0, -1):
        iteration = iterations[number - 1]
        if iteration is not None and iteration < following:
            return number
    return 0


def replace_file(path: str, parts: Iterable[bytes]) -> None:
    """Puts a new file in the place of one, at once; its folder is made where it is not there. Raises OSError."""
    beside = f"{path}.new"
    with _opened(beside, "wb") as file:
        data = b"".join(parts)
        written = 0
        while written < len(data):
            written += file.write(data[written:])
    os.replace(beside, path)
