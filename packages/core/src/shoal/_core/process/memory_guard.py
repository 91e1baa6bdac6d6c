"""Holds a node's workers to their `memory=`: by looking ten times a second, and by a control group where the kernel
lets us make one, which catches what happens in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from shoal._core.system.event_loop import EventLoop, Timer
from shoal._core.system.memory_cgroups import MemoryCgroup, MemoryCgroups
from shoal._core.system.memory_limits import MemoryWatch

_MEBIBYTE = 1 << 20


class MemoryGuard:
    """The limited workers of one node. Belongs to the daemon's loop.

    Args:
        loop: for the next look.
        store_bytes: size of the object store, which all workers share.
        end: ends the worker with this id, for the reason given.
    """

    def __init__(self, loop: EventLoop, store_bytes: int, end: Callable[[bytes, str], None]) -> None:
        self._loop = loop
        self._store_bytes = store_bytes
        self._end = end
        self._cgroups = MemoryCgroups.find()
        self._groups: dict[bytes, MemoryCgroup] = {}
        self._watch = MemoryWatch()
        self._workers: dict[int, bytes] = {}
        self._timer: Timer | None = None

    def limit(self, worker_id: bytes, pid: int, memory: int) -> None:
        """From now on the worker may use `memory` bytes."""
        if self._cgroups is not None:
            # The kernel charges pages of the object store to whoever touches them first: they must not count.
            with suppress(OSError):
                self._groups[worker_id] = self._cgroups.limit(
                    f"shoal-{worker_id.hex()}", pid, memory, self._store_bytes
                )
        self._workers[pid] = worker_id
        self._watch.add(pid, memory)
        self._arm()

    def unlimit(self, worker_id: bytes, pid: int) -> None:
        """The worker is free of its limit, or gone."""
        self._workers.pop(pid, None)
        self._watch.remove(pid)

    def killed_by_kernel(self, worker_id: bytes) -> bool:
        """Whether the kernel has killed the worker for its limit; call it once, when it is dead."""
        group = self._groups.pop(worker_id, None)
        if group is None:
            return False
        killed = group.oom_kills() > 0
        with suppress(OSError):
            group.remove()
        return killed

    def _arm(self) -> None:
        due = self._watch.next_deadline(time.monotonic())
        if due is not None and self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        for pid, used, limit in self._watch.sample(time.monotonic()):
            worker_id = self._workers.get(pid)
            if worker_id is not None:
                self._end(
                    worker_id,
                    f"its memory limit of {limit // _MEBIBYTE} MiB was exceeded (it used {used // _MEBIBYTE} MiB)",
                )
        self._arm()
