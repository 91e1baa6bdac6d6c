"""The node's side of shared memory: arenas made, handed out, punched and closed.

An arena is a memfd: it has no name, needs no /dev/shm, and is gone when the last process that has it is. Its size is
sealed, so that no client can cut off pages that others have mapped.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

from shoal._core.system.job_threads import JobThreads
from shoal._core.system.linux_memory import punch_hole

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Arenas:
    """All arenas of a node. Belongs to one thread.

    Args:
        threads: for what would block it.
    """

    def __init__(self, threads: JobThreads) -> None:
        self._threads = threads
        self._fds: dict[int, int] = {}
        self._sizes: dict[int, int] = {}

    def __contains__(self, arena_id: int) -> bool:
        return arena_id in self._fds

    def add(self, arena_id: int, size: int) -> int:
        """Makes an arena.

        Args:
            arena_id: as it is going to be called.
            size: in bytes; takes no memory until it is written to.

        Returns:
            Its file, to be passed to clients. It stays open until `remove`.

        Raises:
            OSError: this process may open no more files.
        """
        fd = os.memfd_create("shoal-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        self._fds[arena_id] = fd
        self._sizes[arena_id] = size
        return fd

    def fd(self, arena_id: int) -> int:
        """Returns the file of an arena."""
        return self._fds[arena_id]

    def size(self, arena_id: int) -> int:
        """Returns the size of an arena in bytes."""
        return self._sizes[arena_id]

    def punch(self, arena_id: int, offset: int, size: int, done: Callable[[], None]) -> None:
        """Gives the pages of a range back to the machine, and calls `done()` on another thread when that has happened."""
        fd = self._fds[arena_id]

        def job() -> None:
            try:
                punch_hole(fd, offset, size)
            finally:
                done()

        self._threads.submit(job)

    def remove(self, arena_id: int) -> None:
        """Closes an arena and gives back its pages, even if clients still have it mapped."""
        fd = self._fds.pop(arena_id)
        size = self._sizes.pop(arena_id)

        def job() -> None:
            try:
                punch_hole(fd, 0, size)
            finally:
                os.close(fd)

        self._threads.submit(job)

    def close(self) -> None:
        """Closes all arenas. Call when the threads have ended."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        self._sizes.clear()
