"""Holding processes to their `memory=`: the private memory of each and of all that it has started is looked at ten times
a second, for as long as there is a limited process.

What counts is anonymous memory, resident or swapped out: heap and stacks, but neither files nor shared memory, so objects
in the store are nobody's. Pages that a fork still shares with its fork server count in parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from shoal._core.system.children import descendants_of
from shoal._core.system.process_memory import read_exact_memory

SAMPLING_SECONDS = 0.1


class Exceeded(NamedTuple):
    """A process uses more than it may."""

    pid: int
    used: int
    """Bytes, of it and of its descendants."""
    limit: int
    """Bytes."""


class MemoryWatch:
    """The limited processes of one node, for a loop to ask: it has no thread and no clock of its own.

    Args:
        measure: returns the memory of a process and its descendants in bytes, pages that it shares with others counted
            in full; None where it is gone. Asked at each sample, so it has to be quick.
        measure_exactly: the same with shared pages divided. Asked only for those whose first measure is above the limit.
    """

    __slots__ = ("_limits", "_measure", "_measure_exactly", "_next", "_told")

    def __init__(
        self,
        measure: Callable[[int], int | None] | None = None,
        measure_exactly: Callable[[int], int | None] | None = None,
    ) -> None:
        self._measure = measure or private_memory
        self._measure_exactly = measure_exactly or exact_private_memory
        self._limits: dict[int, int] = {}
        self._told: set[int] = set()
        self._next: float | None = None

    def add(self, pid: int, limit: int) -> None:
        """Watches a process, or gives it another limit (bytes). It is looked at at the next sample, which is due at once
        where none was due before."""
        self._limits[pid] = limit
        self._told.discard(pid)

    def remove(self, pid: int) -> None:
        """Stops watching a process; does nothing where it is not watched."""
        self._limits.pop(pid, None)
        self._told.discard(pid)
        if not self._limits:
            self._next = None

    def next_deadline(self, now: float) -> float | None:
        """Returns when to call `sample` next, in the clock of `now`; None while nothing is watched."""
        if len(self._limits) == len(self._told):
            return None
        return now if self._next is None else self._next

    def sample(self, now: float) -> list[Exceeded]:
        """Looks at all watched processes. Each one that is above its limit is told once, and then left alone until it is
        removed or given another limit. Those that are gone are forgotten.

        Args:
            now: the time, in seconds of a monotonic clock.
        """
        found = []
        for pid, limit in list(self._limits.items()):
            if pid in self._told:
                continue
            used = self._measure(pid)
            if used is not None and used > limit:
                used = self._measure_exactly(pid)
            if used is None:
                self.remove(pid)
            elif used > limit:
                self._told.add(pid)
                found.append(Exceeded(pid, used, limit))
        self._next = now + SAMPLING_SECONDS if self._limits else None
        return found


def private_memory(pid: int) -> int | None:
    """Returns the anonymous memory, resident or swapped out, of a process and its descendants in bytes; None where the
    process is gone."""
    used = _resident_and_swapped(pid)
    if used is None:
        return None
    return sum(used) + sum(sum(_resident_and_swapped(child) or ()) for child in descendants_of(pid))


def exact_private_memory(pid: int) -> int | None:
    """As `private_memory`, with pages that several processes share divided among them. Takes about a millisecond per
    100 MiB."""
    total = 0
    for process in (pid, *descendants_of(pid)):
        used = _resident_and_swapped(process)
        if used is None:
            if process == pid:
                return None
            continue
        exact = read_exact_memory(process)
        resident, swapped = used
        total += swapped + (resident if exact is None else exact.anonymous)
    return total


def _resident_and_swapped(pid: int) -> tuple[int, int] | None:
    """Returns the bytes of anonymous memory in memory and in swap; None where the process is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            status = file.read(8192)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _kibibytes(status, b"\nRssAnon:"), _kibibytes(status, b"\nVmSwap:")


def _kibibytes(status: bytes, name: bytes) -> int:
    """A zombie has no such lines."""
    place = status.find(name)
    if place < 0:
        return 0
    return int(status[place + len(name) : status.index(b"kB", place)]) * 1024
