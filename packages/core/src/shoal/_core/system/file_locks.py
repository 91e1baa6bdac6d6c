"""Locks between processes, held by an open file, so that they end with whoever holds them."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_lock(path: str, deadline: float | None) -> Iterator[None]:
    """Holds the lock that a file stands for.

    Args:
        path: of the file; made if it is not there, and left there.
        deadline: by `time.monotonic`; None for none.

    Raises:
        TimeoutError: somebody else held it up to the deadline.
        OSError: the file cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if deadline is None:
            fcntl.flock(fd, fcntl.LOCK_EX)
        else:
            _Waiter(fd).wait(path, deadline)
    try:
        yield
    finally:
        os.close(fd)


class _Waiter:
    """A thread that waits for a lock: the kernel has no call that waits for one with a limit. Where nobody waits for the
    thread any more, it lets go of the lock as soon as it gets it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._guard = threading.Lock()
        self._got = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._run, daemon=True, name="shoal-file-lock").start()

    def wait(self, path: str, deadline: float) -> None:
        self._got.wait(max(0.0, deadline - time.monotonic()))
        with self._guard:
            if not self._got.is_set():
                self._abandoned = True
                raise TimeoutError(f"another process has held {path} for too long")

    def _run(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        with self._guard:
            self._got.set()
            if self._abandoned:
                os.close(self._fd)
