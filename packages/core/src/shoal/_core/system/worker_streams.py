"""A worker's standard streams: what it prints reaches the pipe line by line, and says whose output it is.

Names travel in the output itself, as mark lines, so that they are exactly in order with it; the daemon's `OutputPipe`
takes them out again. A name is marked only when something is printed under it.
"""

from __future__ import annotations

import faulthandler
import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME_MARK = b"\x1eshoal-name:"
_STREAMS = "shoal_streams"


class _MarkedFile(io.FileIO):
    """Writes to a descriptor, preceded by the mark of the current name where that has changed since the last write."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self.name_now = b""
        self._name_marked = b""
        self._at_line_start = True

    def write(self, buffer: ReadableBuffer, /) -> int:
        data = memoryview(buffer)
        if self.name_now != self._name_marked and self._at_line_start:
            mark = NAME_MARK + self.name_now + b"\n"
            # One write, so that no other writer's line comes between the mark and what it is for.
            written = super().write(mark + data.tobytes())
            self._name_marked = self.name_now
            taken = max(0, written - len(mark))
        else:
            taken = super().write(buffer)
        if taken:
            self._at_line_start = data[taken - 1] == 0x0A
        return taken


class WorkerStreams:
    """The streams of this process, as `install_worker_streams` made them."""

    __slots__ = ("_files", "stderr", "stdout")

    def __init__(self) -> None:
        self._files = (_MarkedFile(1), _MarkedFile(2))
        # Lines leave as they end: what a worker has printed is not lost when it crashes.
        self.stdout, self.stderr = (
            io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", errors="backslashreplace", line_buffering=True)
            for file in self._files
        )

    def set_name(self, name: str) -> None:
        """Says whose output follows, in words: the name of a task or actor. Cheap; nothing is written until something
        is printed."""
        encoded = name.replace("\n", " ").encode("utf-8", "backslashreplace")
        for file in self._files:
            file.name_now = encoded


def install_worker_streams() -> WorkerStreams:
    """Gives this process streams that are fit for a worker and for its forks, on whatever its descriptors 0, 1 and 2 are.

    A crash in native code writes the Python stack to standard error.
    """
    streams = WorkerStreams()
    setattr(streams.stdout, _STREAMS, streams)
    stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    for name, stream in (("stdin", stdin), ("stdout", streams.stdout), ("stderr", streams.stderr)):
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable(2)
    return streams


def installed_worker_streams() -> WorkerStreams | None:
    """Returns the streams of this process if it is a worker."""
    return getattr(sys.__stdout__, _STREAMS, None)
