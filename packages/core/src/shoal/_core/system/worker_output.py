"""What workers print, as it arrives at the daemon: one pipe a stream, split into lines, kept in a log file."""

from __future__ import annotations

import os

from shoal._core.system.rotating_log import RotatingLog
from shoal._core.system.stderr_tail import StderrTail
from shoal._core.system.worker_streams import NAME_MARK

_CHUNK = 1 << 16
_MOST_CHUNKS_A_READ = 4
_LONGEST_LINE = 1 << 16

OutputLine = tuple[str, int, bool, str]
"""(name, pid, whether it is stderr, text), as the message `OutputLines` has them."""


class OutputPipe:
    """One stream of one worker. The reading end never blocks; the writing end is for the worker alone.

    Watch `fileno()` for reading and call `read()` when it is readable. After the worker's end call `read()` until it
    returns nothing, since the pipe may still hold its last words. `closed` tells that nobody has the writing end any
    more.

    Args:
        log: where all output is kept as it came, without the marks that name it; None for nowhere.
        name: whose output it is, as long as the worker does not say so itself.
        is_stderr: whether it is standard error, whose last lines are kept (`tail`).
    """

    __slots__ = (
        "_cutting",
        "_log",
        "_name",
        "_partial",
        "_reading_fd",
        "_tail",
        "closed",
        "is_stderr",
        "pid",
        "writing_fd",
    )

    def __init__(self, log: RotatingLog | None = None, *, name: str = "worker", is_stderr: bool = False) -> None:
        self._reading_fd, self.writing_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reading_fd, False)
        self._log = log
        self._name = name
        self._tail = StderrTail() if is_stderr else None
        self._partial = b""
        self._cutting = False
        """Whether the rest of the present line is dropped, since it is too long."""
        self.is_stderr = is_stderr
        self.pid = 0
        """The worker's, once it is known; goes into the lines."""
        self.closed = False

    def fileno(self) -> int:
        return self._reading_fd

    def close_writing_end(self) -> None:
        """Closes this process's copy of the writing end, once the worker has been asked for."""
        if self.writing_fd >= 0:
            os.close(self.writing_fd)
            self.writing_fd = -1

    def tail(self) -> tuple[str, ...]:
        """Returns the last lines of standard error, oldest first."""
        return self._tail.lines() if self._tail is not None else ()

    def read(self) -> list[OutputLine]:
        """Returns the lines that have ended since the last call; empty where there is nothing to read.

        Lines that are too long are cut here, not in the log. Bytes that are not UTF-8 appear as \\xNN. Of what a
        progress bar overwrites, the last state is shown.
        """
        lines: list[OutputLine] = []
        logged: list[bytes] = []
        for _ in range(_MOST_CHUNKS_A_READ):
            try:
                chunk = os.read(self._reading_fd, _CHUNK)
            except BlockingIOError:
                break
            if not chunk:
                self.closed = True
                self._split(b"\n" if self._partial else b"", lines, logged)
                break
            self._split(chunk, lines, logged)
            if len(chunk) < _CHUNK:
                break
        if self._log is not None and logged:
            self._log.write(b"".join(logged))
        return lines

    def close(self) -> None:
        """Releases the descriptors and the log file."""
        self.close_writing_end()
        if self._reading_fd >= 0:
            os.close(self._reading_fd)
            self._reading_fd = -1
        if self._log is not None:
            self._log.close()

    def _split(self, chunk: bytes, lines: list[OutputLine], logged: list[bytes]) -> None:
        *ended, self._partial = (self._partial + chunk).split(b"\n")
        for line in ended:
            if NAME_MARK in line:
                line = self._take_name(line)
                if not line:
                    continue
            logged += (line, b"\n")
            if self._cutting:
                self._cutting = False
            else:
                self._show(line, lines)
        if len(self._partial) > _LONGEST_LINE:
            self._shorten_partial(lines, logged)

    def _take_name(self, line: bytes) -> bytes:
        """Returns what comes before the mark: a line that had no end, of a writer that makes no marks."""
        line, _, name = line.partition(NAME_MARK)
        self._name = name.decode("utf-8", "backslashreplace")
        return line

    def _shorten_partial(self, lines: list[OutputLine], logged: list[bytes]) -> None:
        """Bounds what is kept of a line that does not end."""
        overwritten, carriage_return, rest = self._partial.rpartition(b"\r")
        logged += (overwritten, carriage_return)
        self._partial = rest
        if len(rest) > _LONGEST_LINE:
            logged.append(rest)
            if not self._cutting:
                self._show(rest, lines)
            self._partial = b""
            self._cutting = True

    def _show(self, line: bytes, lines: list[OutputLine]) -> None:
        if b"\r" in line:
            line = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace")
        if len(line) > _LONGEST_LINE:
            text += f"... [cut after {_LONGEST_LINE} bytes; the log file has the rest]"
        if self._tail is not None:
            self._tail.add(text)
        lines.append((self._name, self.pid, self.is_stderr, text))
