"""A log file of bounded size: when it is full it becomes `<name>.1`, which replaces the one before, and a new one
begins."""

from __future__ import annotations

import os


class RotatingLog:
    """Appends bytes to a file, which is made at the first write.

    A full disk loses log lines and nothing else: how much is missing is written where it goes on.

    Args:
        path: the file; its folder must exist.
        limit: size in bytes at which the file is set aside; so at most twice that is kept.
    """

    __slots__ = ("_fd", "_limit", "_missing", "_size", "path")

    def __init__(self, path: str, limit: int = 16 << 20) -> None:
        self.path = path
        self._limit = limit
        self._fd = -1
        self._size = 0
        self._missing = 0

    def write(self, data: bytes) -> None:
        try:
            if self._fd < 0:
                self._open()
            if self._size + len(data) > self._limit and self._size:
                self._rotate()
            if self._missing:
                self._append(b"[%d bytes are missing here: they could not be written]\n" % self._missing)
                self._missing = 0
            self._append(data)
        except OSError:
            self._missing += len(data)

    def _append(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        self._size += written
        self._missing += len(data) - written

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self.close()
        os.replace(self.path, self.path + ".1")
        self._open()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
