"""Where blocks lie in the arenas, and which free pages are *warm*.

An arena is a large sparse file of shared memory. Its pages cost nothing until they are touched, and the first touch
is the expensive one: a copy into pages that were used before runs ten times faster. So freed blocks keep their pages,
a new block goes where most of it is warm, and what is warm and free beyond a limit is given back to the machine (a
hole is punched, or a whole arena removed).

Free space is kept as *runs*: as long as can be, no two adjacent. A block is taken from the low end of a run, so what
was used before collects at the low ends. Warmth is known by granules of 64 KiB, not by pages: one byte a granule,
searched and counted at C speed.

A range whose hole is being punched belongs to nobody until `punched`: a writer must not meet the punch.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import msgspec

ALIGNMENT = 64
"""Blocks begin and end at multiples of this: a cache line, and what numpy and Arrow like best."""

GRANULE = 65536
_SHIFT = 16
_CANDIDATES = 8
"""So many of the best-fitting runs are compared for warmth."""

_Key = tuple[int, int, int, int]


class Block(msgspec.Struct, frozen=True, gc=False):
    """A place in an arena. The first `warm` bytes lie on pages that were used before."""

    arena: int
    offset: int
    warm: int


class Hole(msgspec.Struct, frozen=True, gc=False):
    """A free range whose pages are to be given back to the machine."""

    arena: int
    offset: int
    size: int


def block_size(size: int) -> int:
    """Returns how many bytes a block for `size` bytes takes."""
    return max(ALIGNMENT, (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


def arena_size_for(size: int) -> int:
    """Returns `size` in bytes, rounded up to what an arena can be."""
    return (size + GRANULE - 1) // GRANULE * GRANULE


def _up(position: int) -> int:
    """The first granule that begins at or after a position."""
    return (position + GRANULE - 1) >> _SHIFT


class _Run:
    """A free range from `start` to `end`."""

    __slots__ = ("arena", "end", "stamp", "start", "warm")

    def __init__(self, arena: _Arena, start: int, end: int, warm: int, stamp: int) -> None:
        self.arena = arena
        self.start = start
        self.end = end
        self.warm = warm
        """Granules that lie wholly inside and were touched."""
        self.stamp = stamp
        """When something in it was last freed."""

    def key(self) -> _Key:
        """Sorts by size; among equals the one freed last comes first."""
        return (self.end - self.start, -self.stamp, self.arena.id, self.start)


class _Arena:
    __slots__ = ("by_end", "by_start", "id", "size", "touched")

    def __init__(self, id: int, size: int) -> None:
        self.id = id
        self.size = size
        self.touched = bytearray(size >> _SHIFT)
        self.by_start: dict[int, _Run] = {}
        self.by_end: dict[int, _Run] = {}

    def count(self, start: int, end: int) -> int:
        """Touched granules wholly between two positions."""
        return self.touched.count(1, _up(start), max(_up(start), end >> _SHIFT))

    def warm_prefix(self, start: int, size: int) -> int:
        """How many bytes from `start` on are warm, at most `size`."""
        cold = self.touched.find(0, start >> _SHIFT, _up(start + size))
        return size if cold < 0 else max(0, (cold << _SHIFT) - start)


class Allocator:
    """Places blocks. Sizes and offsets are in bytes; sizes must come from `block_size`."""

    def __init__(self) -> None:
        self._arenas: dict[int, _Arena] = {}
        self._by_size: list[_Key] = []
        self._stamp = 0
        self._warm = 0
        self._empty: set[int] = set()
        """Arenas that are one single run."""
        self._holes: dict[tuple[int, int], int] = {}
        """Ranges being punched: (arena, offset) to size."""

    @property
    def warm_bytes(self) -> int:
        """Bytes that are free but still have pages."""
        return self._warm << _SHIFT

    @property
    def is_punching(self) -> bool:
        """Whether free ranges are on their way back (`punched` will come)."""
        return bool(self._holes)

    def arenas(self) -> dict[int, int]:
        """Returns the size of each arena by its id."""
        return {arena.id: arena.size for arena in self._arenas.values()}

    def add_arena(self, arena_id: int, size: int) -> None:
        """A new arena, all free and cold. `size` must come from `arena_size_for`."""
        assert size % GRANULE == 0, f"an arena of {size} bytes is no multiple of {GRANULE}"
        assert arena_id not in self._arenas, f"arena {arena_id} exists"
        arena = self._arenas[arena_id] = _Arena(arena_id, size)
        self._insert(_Run(arena, 0, size, 0, 0))

    def allocate(self, size: int) -> Block | None:
        """Returns the best place for a block, or None where no run is long enough."""
        run, warm = self._choose(size)
        if run is None:
            return None
        self._remove(run)
        arena, start, end = run.arena, run.start, run.start + size
        if end < run.end:
            lost = arena.touched.count(1, _up(start), min(_up(end), run.end >> _SHIFT))
            self._insert(_Run(arena, end, run.end, run.warm - lost, run.stamp))
        first, last = start >> _SHIFT, _up(end)
        if warm < size:
            arena.touched[first:last] = b"\1" * (last - first)
        return Block(arena.id, start, warm)

    def release(self, arena_id: int, offset: int, size: int) -> None:
        """A block is free again; its pages are warm."""
        self._stamp += 1
        self._give_back(self._arenas[arena_id], offset, offset + size, touched=True)

    def punched(self, arena_id: int, offset: int, size: int) -> None:
        """The hole that `reclaim` asked for is made: the range is free and cold."""
        known = self._holes.pop((arena_id, offset), None)
        assert known == size, f"no hole of {size} bytes at {offset} of arena {arena_id}"
        self._give_back(self._arenas[arena_id], offset, offset + size, touched=False)

    def reclaim(self, limit: int) -> tuple[list[Hole], list[int]]:
        """Chooses what to give back so that at most `limit` bytes are free and warm.

        It goes a little lower than that, so that it is not called for on every release.

        Returns:
            Holes to punch (announce each with `punched` afterwards), and arenas to remove (they are forgotten already).
        """
        holes: list[Hole] = []
        removed: list[int] = []
        if self.warm_bytes > limit:
            self._cool((self.warm_bytes - limit + limit // 8 + GRANULE - 1) >> _SHIFT, holes, removed)
        for arena_id in tuple(self._empty):
            arena = self._arenas[arena_id]
            if arena.by_start[0].warm == 0 and len(self._arenas) > 1:
                self._forget(arena)
                removed.append(arena_id)
        return holes, removed

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        runs = [run for arena in self._arenas.values() for run in arena.by_start.values()]
        assert sorted(run.key() for run in runs) == self._by_size, "the list by size does not match the runs"
        assert sum(run.warm for run in runs) == self._warm, "warm granules are miscounted"
        for arena in self._arenas.values():
            assert set(arena.by_end) == {run.end for run in arena.by_start.values()}
            previous = -1
            for run in sorted(arena.by_start.values(), key=lambda run: run.start):
                assert arena.by_end[run.end] is run
                assert previous < run.start < run.end <= arena.size, f"run at {run.start} of {arena.id} meets another"
                assert run.warm == arena.count(run.start, run.end), f"warmth of the run at {run.start} is miscounted"
                previous = run.end
            whole = 0 in arena.by_start and arena.by_start[0].end == arena.size
            assert (arena.id in self._empty) == whole, f"arena {arena.id} is wrong about being empty"

    def free_ranges(self) -> list[Hole]:
        """Returns all free ranges, those being punched included, in order."""
        ranges = [Hole(arena_id, start, size) for size, _, arena_id, start in self._by_size]
        ranges += [Hole(arena_id, offset, size) for (arena_id, offset), size in self._holes.items()]
        return sorted(ranges, key=lambda hole: (hole.arena, hole.offset))

    # --- decisions --------------------------------------------------------------------------------------------------

    def _choose(self, size: int) -> tuple[_Run | None, int]:
        """The run whose low end is warmest, among the smallest that are long enough."""
        first = bisect_left(self._by_size, (size,))  # a shorter tuple sorts before all of its size
        best, best_warm = None, -1
        for _, _, arena_id, start in self._by_size[first : first + _CANDIDATES]:
            arena = self._arenas[arena_id]
            warm = arena.warm_prefix(start, size)
            if warm > best_warm:
                best, best_warm = arena.by_start[start], warm
                if warm == size:
                    break
        return best, best_warm

    def _cool(self, excess: int, holes: list[Hole], removed: list[int]) -> None:
        """Gives back `excess` granules (or all there are) of the runs that were freed longest ago."""
        runs = [run for arena in self._arenas.values() for run in arena.by_start.values() if run.warm]
        for run in sorted(runs, key=lambda run: run.stamp):
            if excess <= 0:
                return
            arena = run.arena
            if arena.id in self._empty and run.warm <= 2 * excess and len(self._arenas) > 1:
                # Nothing else lies in it: better gone than kept for less than half of its pages.
                excess -= run.warm
                self._forget(arena)
                removed.append(arena.id)
            else:
                excess -= self._punch(run, excess, holes)

    def _punch(self, run: _Run, excess: int, holes: list[Hole]) -> int:
        """Takes warm stretches out of a run, from its high end down. Returns how many granules."""
        arena, touched = run.arena, run.arena.touched
        self._remove(run)
        low, end, taken = _up(run.start), run.end, 0
        while taken < min(excess, run.warm):
            last = touched.rfind(1, low, end >> _SHIFT) + 1
            first = max(touched.rfind(0, low, last) + 1, low, last - (excess - taken))
            start, stop = first << _SHIFT, last << _SHIFT
            if stop < end:
                self._insert(_Run(arena, stop, end, 0, run.stamp))
            touched[first:last] = bytes(last - first)
            holes.append(Hole(arena.id, start, stop - start))
            self._holes[arena.id, start] = stop - start
            taken += last - first
            end = start
        if run.start < end:
            self._insert(_Run(arena, run.start, end, run.warm - taken, run.stamp))
        return taken

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _give_back(self, arena: _Arena, start: int, end: int, *, touched: bool) -> None:
        left, right = arena.by_end.get(start), arena.by_start.get(end)
        warm, low, high, stamp = 0, start, end, self._stamp if touched else 0
        if left is not None:
            self._remove(left)
            warm, low, stamp = left.warm, left.start, max(stamp, left.stamp)
        if right is not None:
            self._remove(right)
            warm, high, stamp = warm + right.warm, right.end, max(stamp, right.stamp)
        if touched:
            # Granules that the block had to itself, and those it shared with a neighbour that is free too.
            warm += max(0, min(high >> _SHIFT, _up(end)) - max(_up(low), start >> _SHIFT))
        self._insert(_Run(arena, low, high, warm, stamp))

    def _insert(self, run: _Run) -> None:
        arena = run.arena
        arena.by_start[run.start] = run
        arena.by_end[run.end] = run
        insort(self._by_size, run.key())
        self._warm += run.warm
        if run.end - run.start == arena.size:
            self._empty.add(arena.id)

    def _remove(self, run: _Run) -> None:
        arena = run.arena
        del arena.by_start[run.start]
        del arena.by_end[run.end]
        del self._by_size[bisect_left(self._by_size, run.key())]
        self._warm -= run.warm
        self._empty.discard(arena.id)

    def _forget(self, arena: _Arena) -> None:
        self._remove(arena.by_start[0])
        del self._arenas[arena.id]
