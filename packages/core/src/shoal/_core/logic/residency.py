"""Which objects this node's store holds, where each is, and who keeps it there.

A life: an object is *queued* until there is room, *allocated* while its writer fills the block, then *sealed* and
never changed. When room is needed, sealed objects that nobody has pinned go to disk, least recently used first
(*spilling*, *spilled*), and come back when they are pinned (*recalled* while they wait for room, *restoring* while
they are read). An object that its owner freed is gone at once, or stays *freed* until its last pin, its writer and
its transfer are done: a block is used again only when nobody can touch it. `residency_states` has the table of
transitions.

The capacity bounds the bytes in blocks; blocks and pages kept warm for the next blocks never exceed it together
either. A request that finds no room waits for it (`room` says how); if clients hold too much until its deadline, it
is refused, with who holds what. A spill that fails costs nothing: the object stays in memory, and is tried again when
something has changed. A copy on disk is kept after a restore, so that the next eviction of that object costs nothing.

Events are method calls; what has to be done comes back as effects, to be carried out in order. Not thread-safe.
"""

from __future__ import annotations

from shoal._core.logic.allocation import Allocator, arena_size_for, block_size
from shoal._core.logic.object_lives import ObjectLives
from shoal._core.logic.object_table import ARRIVING, IDLE, LEAVING, PINNED, STUCK, UNSEALED, Entry, ObjectTable
from shoal._core.logic.residency_effects import (
    FREED_BEFORE,
    TOO_LARGE,
    AlreadyStored,
    Effect,
    Missing,
    StoredObject,
    StoreStats,
)
from shoal._core.logic.residency_states import (
    FREED,
    QUEUED,
    RECALLED,
    SEALED,
    SPILLED,
    SPILLING,
    TRANSITIONS,
    UNKNOWN,
    InvalidTransitionError,
)
from shoal._core.logic.room import Room
from shoal.exceptions import InvalidOptionError

STANDARD_ARENA = 1 << 30
STANDARD_WARM = 512 << 20


class Residency:
    """The object store of one node, as decisions.

    Args:
        capacity: bytes that blocks may take together.
        can_spill: whether there is a disk to spill to.
        arena_size: usual size of an arena in bytes; a larger object gets an arena of its own size.
        warm_limit: bytes of free pages to keep for the next blocks.

    Raises:
        InvalidOptionError: capacity is not positive.
    """

    def __init__(
        self, capacity: int, *, can_spill: bool = True, arena_size: int | None = None, warm_limit: int | None = None
    ) -> None:
        if capacity <= 0:
            raise InvalidOptionError("object_store_memory", capacity, "give a positive number of bytes")
        self.capacity = block_size(capacity)
        if arena_size is None:
            arena_size = min(self.capacity, max(STANDARD_ARENA, self.capacity // 8))
        if warm_limit is None:
            warm_limit = max(STANDARD_WARM, self.capacity // 4)
        self._table = ObjectTable()
        self._allocator = Allocator()
        self._lives = ObjectLives(self.capacity, self._table, self._allocator, can_spill=can_spill)
        self._room = Room(
            self.capacity,
            self._table,
            self._allocator,
            self._lives,
            can_spill=can_spill,
            arena_size=arena_size_for(arena_size),
            warm_limit=warm_limit,
        )
        self._spilled_total = 0
        self._restored_total = 0

    # --- writing ----------------------------------------------------------------------------------------------------

    def allocate(self, object_id: bytes, size: int, client: bytes, request_id: int, deadline: float) -> list[Effect]:
        """A client asks for a block. Answered by Allocated, AlreadyStored or Full, now or later.

        Args:
            object_id: the object it is going to write.
            size: bytes that it needs; 0 is fine.
            client: who asks, and will write.
            request_id: comes back in the answer.
            deadline: when to give up if clients hold too much; seconds on the clock of `tick`.

        Raises:
            InvalidOptionError: size is negative.
        """
        if size < 0:
            raise InvalidOptionError("size", size, "give 0 or more bytes")
        known = self._table.entries.get(object_id)
        if known is not None:
            return [AlreadyStored(client, request_id, object_id, known.state)]
        entry = Entry(object_id, size, client, request_id, deadline)
        if entry.room > self.capacity:
            return [self._lives.full(entry, client, request_id, TOO_LARGE)]
        effects: list[Effect] = []
        self._table.move(entry, "allocate", QUEUED)
        self._table.entries[object_id] = entry
        self._table.hold(client, object_id)
        self._room.request(entry, effects)
        return effects

    def seal(self, object_id: bytes, client: bytes) -> list[Effect]:
        """The writer is done: the object is whole, and will not change.

        Raises:
            InvalidTransitionError: the client is not writing this object.
        """
        entry = self._written_by(client, object_id, "seal")
        if entry.state == QUEUED:
            raise InvalidTransitionError(object_id, QUEUED, "seal", f"from {client.hex()}, which has no block yet")
        effects: list[Effect] = []
        entry.writer = None
        self._table.unhold(client, object_id)
        if entry.state == FREED:
            self._lives.leave(entry, "seal", effects)
        else:
            self._table.move(entry, "seal", SEALED)
            self._lives.admit(entry, effects)
        self._room.settle(effects)
        return effects

    def abort(self, object_id: bytes, client: bytes) -> list[Effect]:
        """The writer gives the block back, or does not want it any more.

        Raises:
            InvalidTransitionError: the client is not writing this object.
        """
        entry = self._written_by(client, object_id, "abort")
        effects: list[Effect] = []
        self._lives.stop_writing(entry, effects)
        self._room.settle(effects)
        return effects

    # --- reading ----------------------------------------------------------------------------------------------------

    def pin(self, object_id: bytes, client: bytes, request_id: int, deadline: float) -> list[Effect]:
        """A client wants to read; this waits while the object is written or restored.

        Answered by Located, Missing, Lost or Full.

        Args:
            object_id: what to read.
            client: who reads.
            request_id: comes back in the answer.
            deadline: when to give up if the object has to be restored and clients hold too much; seconds on the clock
                of `tick`.
        """
        entry = self._table.entries.get(object_id)
        if entry is None:
            return [Missing(client, request_id, object_id, "the store does not have it")]
        state = entry.state
        if state == SEALED:
            return [self._lives.pinned(entry, client, request_id)]
        if state == FREED:
            return [Missing(client, request_id, object_id, "it has been freed")]
        effects: list[Effect] = []
        if state == SPILLING:
            # It stays after all: those who counted on its room need that of another.
            effects.append(self._lives.pinned(entry, client, request_id))
            self._room.settle(effects)
            return effects
        entry.waiters.append((client, request_id, deadline))
        self._table.hold(client, object_id)
        if state == SPILLED:
            self._table.move(entry, "pin", RECALLED)
            self._room.request(entry, effects)
        return effects

    def pin_ahead(self, object_id: bytes, client: bytes, request_id: int) -> list[Effect]:
        """A client is going to read soon. Answered at once: by Located where the object is in memory and there is room to spare,
        else by Missing.

        Such a pin counts like others; but when a request finds no room, the client is asked for those that it does not use yet
        (AskBack).

        Args:
            object_id: what to read.
            client: who reads.
            request_id: comes back in the answer.
        """
        entry = self._table.entries.get(object_id)
        if entry is None or entry.state != SEALED or not self._room.may_pin_ahead(entry):
            return [Missing(client, request_id, object_id, "it is not at hand")]
        self._room.pinned_ahead(client)
        return [self._lives.pinned(entry, client, request_id)]

    def unpin(self, object_id: bytes, client: bytes, n: int = 1) -> list[Effect]:
        """A client lets go of `n` of its pins.

        Raises:
            InvalidTransitionError: it does not have so many.
        """
        entry = self._table.entries.get(object_id)
        have = 0 if entry is None else entry.pins.get(client, 0)
        if entry is None or not 0 < n <= have:
            state = UNKNOWN if entry is None else entry.state
            detail = f"{n} times from {client.hex()}, which has {have} pins"
            raise InvalidTransitionError(object_id, state, "unpin", detail)
        effects: list[Effect] = []
        self._lives.unpinned(entry, client, n, effects)
        self._room.settle(effects)
        return effects

    def cancel(self, object_id: bytes, client: bytes, request_id: int) -> list[Effect]:
        """A client does not wait any more for an `allocate` or `pin`. Does nothing where that was answered already.

        An answer that crosses this has to be undone by the client, with `abort` or `unpin`.
        """
        entry = self._table.entries.get(object_id)
        effects: list[Effect] = []
        if entry is None:
            return effects
        if entry.state == QUEUED and entry.writer == client and entry.request_id == request_id:
            self._lives.stop_writing(entry, effects)
        else:
            theirs = [waiter for waiter in entry.waiters if waiter[:2] == (client, request_id)]
            self._lives.stop_waiting(entry, theirs)
        self._room.settle(effects)
        return effects

    # --- ends -------------------------------------------------------------------------------------------------------

    def free(self, object_id: bytes) -> list[Effect]:
        """The owner does not need the object any more. Ids that the store does not have are ignored."""
        entry = self._table.entries.get(object_id)
        effects: list[Effect] = []
        if entry is None:
            return effects
        if entry.state == QUEUED:
            self._lives.refuse_writer(entry, FREED_BEFORE, effects)
        self._lives.miss(entry, "it was freed", effects)
        self._lives.leave(entry, "free", effects)
        self._room.settle(effects)
        return effects

    def owner_gone(self, owner: bytes) -> list[Effect]:
        """An owner died: frees all objects whose ids begin with its id, because only the owner knew who may ask for them."""
        effects: list[Effect] = []
        for object_id in [object_id for object_id in self._table.entries if object_id.startswith(owner)]:
            effects += self.free(object_id)
        return effects

    def client_gone(self, client: bytes) -> list[Effect]:
        """A client died or left: its pins, its unsealed objects and its requests go with it."""
        effects: list[Effect] = []
        self._room.client_gone(client)
        for object_id in self._table.held_by(client):
            entry = self._table.entries[object_id]
            self._lives.stop_waiting(entry, [waiter for waiter in entry.waiters if waiter[0] == client])
            if client in entry.pins:
                self._lives.unpinned(entry, client, entry.pins[client], effects)
            if entry.writer == client:
                self._lives.stop_writing(entry, effects)
        self._room.settle(effects)
        return effects

    # --- from the disk and the memory -------------------------------------------------------------------------------

    def spilled(self, object_id: bytes, ok: bool, error: str = "") -> list[Effect]:
        """A `Spill` ended. If it failed, the object stays in memory, and those who needed its room are told `error`.

        Raises:
            InvalidTransitionError: the object is not being spilled.
        """
        entry = self._transferred(object_id, "spilled")
        effects: list[Effect] = []
        if ok:
            self._spilled_total += entry.size
        self._lives.disk_error = "" if ok else error or "unknown error"
        self._lives.spilled(entry, ok, effects)
        self._room.spill_ended(ok, effects)
        self._room.settle(effects)
        return effects

    def restored(self, object_id: bytes, ok: bool, error: str = "") -> list[Effect]:
        """A `Restore` ended. If it failed, those who wait are told `Lost`; a later pin tries again.

        Raises:
            InvalidTransitionError: the object is not being restored.
        """
        entry = self._transferred(object_id, "restored")
        effects: list[Effect] = []
        if ok:
            self._restored_total += entry.size
        self._lives.restored(entry, "" if ok else error or "unknown error", effects)
        self._room.settle(effects)
        return effects

    def punched(self, arena: int, offset: int, size: int) -> list[Effect]:
        """A `PunchHole` is done."""
        effects: list[Effect] = []
        self._allocator.punched(arena, offset, size)
        self._room.settle(effects)
        return effects

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Returns when `tick` has something to do, in seconds on the caller's clock; None = nothing to wait for."""
        return self._room.next_deadline()

    def tick(self, now: float) -> list[Effect]:
        """Refuses the requests that clients have kept waiting for too long."""
        effects: list[Effect] = []
        self._room.refuse_late(now, effects)
        self._room.settle(effects)
        return effects

    # --- looking inside ---------------------------------------------------------------------------------------------

    def stats(self) -> StoreStats:
        """Returns the store in numbers."""
        table, arenas = self._table, self._allocator.arenas()
        on_disk_only = [entry for entry in table.entries.values() if entry.state in (SPILLED, RECALLED)]
        return StoreStats(
            capacity=self.capacity,
            used=table.used,
            unsealed=table.bytes[UNSEALED],
            pinned=table.bytes[PINNED],
            idle=table.bytes[IDLE] + table.bytes[STUCK],
            moving=table.bytes[LEAVING] + table.bytes[ARRIVING],
            warm_free=self._allocator.warm_bytes,
            arena_bytes=sum(arenas.values()),
            arenas=len(arenas),
            objects=len(table.entries),
            spilled=sum(entry.size for entry in on_disk_only),
            spilled_objects=len(on_disk_only),
            disk=table.disk,
            waiting=len(table.queue),
            waiting_bytes=sum(entry.room for entry in table.queue.values()),
            spilled_total=self._spilled_total,
            restored_total=self._restored_total,
        )

    def objects(self) -> list[StoredObject]:
        """Returns all objects, for people."""
        return self._table.objects()

    def story(self, object_id: bytes) -> list[str]:
        """Returns the last transitions of one object, oldest first, one line each."""
        return self._table.story(object_id)

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        self._table.check()
        self._allocator.check()
        used, warm = self._table.used, self._allocator.warm_bytes
        assert used + warm <= self.capacity, f"{used} bytes in blocks and {warm} kept warm, of {self.capacity}"
        blocks = [(e.arena, e.offset, e.room) for e in self._table.entries.values() if e.arena >= 0]
        free = [(hole.arena, hole.offset, hole.size) for hole in self._allocator.free_ranges()]
        for arena, size in self._allocator.arenas().items():
            position = 0
            for _, offset, length in sorted(part for part in blocks + free if part[0] == arena):
                assert offset == position, f"arena {arena} has a gap or an overlap at {min(offset, position)}"
                position = offset + length
            assert position == size, f"arena {arena} ends at {position}, not at {size}"

    # --- arguments --------------------------------------------------------------------------------------------------

    def _written_by(self, client: bytes, object_id: bytes, event: str) -> Entry:
        entry = self._table.entries.get(object_id)
        if entry is None or entry.writer != client:
            state = UNKNOWN if entry is None else entry.state
            raise InvalidTransitionError(object_id, state, event, f"from {client.hex()}, which is not writing it")
        return entry

    def _transferred(self, object_id: bytes, event: str) -> Entry:
        entry = self._table.entries.get(object_id)
        if entry is None or not entry.moving or (entry.state, event) not in TRANSITIONS:
            raise InvalidTransitionError(object_id, UNKNOWN if entry is None else entry.state, event)
        entry.moving = False
        return entry
