"""Who gets memory, and what has to go to disk for it.

Requests are served in the order in which they came. A request is *covered* while what is on its way to disk makes the
room for it: its turn is certain, nothing later overtakes it, and its deadline does not count. Otherwise only clients
can help, by letting go. Until they do, later and smaller requests may pass: a client may need memory to finish its
work, and so let go. Objects are sent to disk only if that is enough for the request. What clients have pinned ahead of
their need costs nobody else room: they are asked for it as soon as a request is not covered.
"""

from __future__ import annotations

from shoal._core.logic.allocation import Allocator, Block, arena_size_for
from shoal._core.logic.object_lives import ObjectLives
from shoal._core.logic.object_table import IDLE, LEAVING, PINNED, STUCK, UNSEALED, Entry, ObjectTable
from shoal._core.logic.residency_effects import HELD, NO_DISK, AddArena, AskBack, Effect, PunchHole, RemoveArena
from shoal._core.logic.residency_states import QUEUED, SEALED

MAX_SPILL_FAILURES = 3
"""After so many in a row the disk is taken to be full, until the next request."""


class Room:
    """Hands out the capacity. Arguments as for `Residency`."""

    def __init__(
        self,
        capacity: int,
        table: ObjectTable,
        allocator: Allocator,
        lives: ObjectLives,
        *,
        can_spill: bool,
        arena_size: int,
        warm_limit: int,
    ) -> None:
        self._capacity = capacity
        self._table = table
        self._allocator = allocator
        self._lives = lives
        self._can_spill = can_spill
        self._arena_size = arena_size
        self._warm_limit = warm_limit
        self._last_arena = 0
        self._ahead: dict[bytes, None] = {}
        """Clients that may have pins which they do not need yet, in the order in which they got them."""
        self._spill_failures = 0
        """In a row."""

    def request(self, entry: Entry, effects: list[Effect]) -> None:
        """The object needs a block: now, or when it is its turn."""
        queue = self._table.queue
        first = not queue
        queue[entry.object_id] = entry
        if not (first and entry.room <= self._capacity - self._table.used and self._grant(entry, effects)):
            self._retry_stuck()
        self.settle(effects)

    def settle(self, effects: list[Effect]) -> None:
        """After every event that may have changed what there is room for: serves those who wait."""
        if self._table.queue:
            self._serve(effects)
        holes, removed = self._allocator.reclaim(min(self._warm_limit, self._capacity - self._table.used))
        effects.extend(PunchHole(hole.arena, hole.offset, hole.size) for hole in holes)
        effects.extend(RemoveArena(arena) for arena in removed)

    def may_pin_ahead(self, entry: Entry) -> bool:
        """Whether an object may be held before it is needed: nobody waits for room, and clients hold no more than half of it.

        So that a client which does not answer for a while, in the midst of a long computation, keeps nobody waiting."""
        held = self._table.bytes[PINNED] + self._table.bytes[UNSEALED] + (0 if entry.pin_count else entry.room)
        return not self._table.queue and held <= self._capacity // 2

    def pinned_ahead(self, client: bytes) -> None:
        """A client has pinned something that it does not need yet."""
        self._ahead[client] = None

    def client_gone(self, client: bytes) -> None:
        self._ahead.pop(client, None)

    def spill_ended(self, ok: bool, effects: list[Effect]) -> None:
        """A spill went well, or failed: decides whether those that failed before are worth another attempt."""
        if ok or self._drop_copies(effects):
            self._retry_stuck()
        else:
            self._spill_failures += 1

    def next_deadline(self) -> float | None:
        """Returns the earliest deadline of those who wait for clients to let go."""
        times: list[float] = []
        for entry in self._table.queue.values():
            if not entry.covered:
                times += [entry.deadline] if entry.state == QUEUED else [waiter[2] for waiter in entry.waiters]
        return min(times, default=None)

    def refuse_late(self, now: float, effects: list[Effect]) -> None:
        """Refuses those who have waited for clients to let go until their deadline."""
        for entry in tuple(self._table.queue.values()):
            if entry.covered:
                continue
            if entry.state == QUEUED:
                if entry.deadline <= now:
                    self._lives.refuse(entry, HELD, effects)
            else:
                late = [waiter for waiter in entry.waiters if waiter[2] <= now]
                self._lives.refuse_readers(entry, late, HELD, effects)

    def _serve(self, effects: list[Effect]) -> None:
        sizes = self._table.bytes
        room = self._capacity - self._table.used
        coming = sizes[LEAVING]
        for entry in tuple(self._table.queue.values()):
            need = entry.room
            lacking = need - room - coming
            if lacking > 0 and self._can_spill:
                if lacking <= sizes[IDLE] and self._spill_failures < MAX_SPILL_FAILURES:
                    at_once, later = self._evict(lacking, effects)
                    room += at_once
                    coming += later
                elif lacking <= sizes[IDLE] + sizes[STUCK]:
                    self._lives.refuse(entry, NO_DISK, effects)
                    continue
            if need <= room and self._grant(entry, effects):
                room -= need
                continue
            entry.covered = need <= room + coming
            if entry.covered:
                # This room is spoken for: nobody behind may have it.
                taken = min(room, need)
                room -= taken
                coming -= need - taken
            else:
                effects.extend(AskBack(client) for client in self._ahead)
                self._ahead.clear()

    def _grant(self, entry: Entry, effects: list[Effect]) -> bool:
        """Gives the object a block. Returns False where that has to wait for holes that are being punched."""
        block = self._allocator.allocate(entry.room)
        if block is None:
            if self._allocator.is_punching:
                return False
            block = self._grow(entry.room, effects)
        self._lives.settle_in(entry, block, effects)
        return True

    def _grow(self, room: int, effects: list[Effect]) -> Block:
        self._last_arena += 1
        size = max(self._arena_size, arena_size_for(room))
        self._allocator.add_arena(self._last_arena, size)
        effects.append(AddArena(self._last_arena, size))
        block = self._allocator.allocate(room)
        assert block is not None, f"a new arena of {size} bytes has no room for {room}"
        return block

    def _evict(self, lacking: int, effects: list[Effect]) -> tuple[int, int]:
        """Sends the least recently used to disk. Returns bytes that are free at once, and bytes that will be."""
        at_once = later = 0
        while at_once + later < lacking:
            entry = next(iter(self._table.idle.values()))
            if self._lives.evict(entry, effects):
                at_once += entry.room
            else:
                later += entry.room
        return at_once, later

    def _retry_stuck(self) -> None:
        self._spill_failures = 0
        for entry in reversed(tuple(self._table.stuck.values())):
            self._table.unstick(entry)

    def _drop_copies(self, effects: list[Effect]) -> bool:
        """Makes room on the disk: copies of what is in memory are a luxury. Returns whether there were any."""
        copies = [entry for entry in self._table.entries.values() if entry.on_disk and entry.state == SEALED]
        for entry in copies:
            self._lives.delete_copy(entry, effects)
        return bool(copies)
