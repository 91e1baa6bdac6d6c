"""Keeps a node's machine from running out of memory: while work runs it looks at what is in use, and above a threshold ends the
worker that uses the most, so that the kernel need not choose (it may choose the driver)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from shoal._core.system.event_loop import EventLoop, Timer
from shoal._core.system.machine import MemoryUse, memory_use
from shoal._core.system.memory_limits import private_memory

_GIBIBYTE = 1 << 30
_RELAXED = 4
"""While memory is plenty, it looks this many times more rarely."""
_PLENTY = 0.8
"""Below this share of the threshold, memory is plenty."""


class MachineGuard:
    """Belongs to the daemon's loop.

    Args:
        loop: for the next look.
        refresh_seconds: time between two looks where memory is scarce; 0 for never looking.
        threshold: share of the machine's memory, 0 to 1, above which a worker is ended.
        busy: returns worker id and pid of those workers that run something.
        end: ends the worker with this id, for the reason given.
        measure: the memory of the machine.
    """

    def __init__(
        self,
        loop: EventLoop,
        refresh_seconds: float,
        threshold: float,
        busy: Callable[[], Iterable[tuple[bytes, int]]],
        end: Callable[[bytes, str], None],
        measure: Callable[[], MemoryUse] = memory_use,
    ) -> None:
        self._loop = loop
        self._refresh_seconds = refresh_seconds
        self._threshold = threshold
        self._busy = busy
        self._end = end
        self._measure = measure
        self._timer: Timer | None = None

    def work_began(self) -> None:
        """A worker was given something to run: from now on it looks, until none runs anything."""
        if self._timer is None and self._refresh_seconds:
            self._timer = self._loop.call_at(time.monotonic() + self._refresh_seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        workers = list(self._busy())
        if not workers:
            return
        use = self._measure()
        pause = self._refresh_seconds
        if use.used > use.total * self._threshold:
            self._end_largest(workers, use)
        elif use.used < use.total * self._threshold * _PLENTY:
            pause *= _RELAXED
        self._timer = self._loop.call_at(time.monotonic() + pause, self._look)

    def _end_largest(self, workers: list[tuple[bytes, int]], use: MemoryUse) -> None:
        used, worker_id = max((private_memory(pid) or 0, worker_id) for worker_id, pid in workers)
        self._end(
            worker_id,
            f"{use.used / _GIBIBYTE:.1f} of the machine's {use.total / _GIBIBYTE:.1f} GiB of memory were in use, "
            f"more than {self._threshold:.0%} (SHOAL_memory_usage_threshold), and of all workers this one used the most "
            f"({used / _GIBIBYTE:.2f} GiB)",
        )
