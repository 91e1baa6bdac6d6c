"""The steps in the lives of stored objects, each with the answers that it owes to clients.

Called by `residency`, which takes the events, and by `room`, which says who gets memory. A step changes the object,
its block and its books together; what clients and the disk have to hear is added to `effects`.
"""

from __future__ import annotations

from collections.abc import Sequence

from shoal._core.logic.allocation import Allocator, Block
from shoal._core.logic.object_table import IDLE, STUCK, Entry, ObjectTable, Waiter
from shoal._core.logic.residency_effects import (
    Allocated,
    DeleteSpilled,
    Effect,
    Full,
    Located,
    Lost,
    Missing,
    Restore,
    Spill,
)
from shoal._core.logic.residency_states import (
    ALLOCATED,
    FREED,
    GONE,
    QUEUED,
    RECALLED,
    RESTORING,
    SEALED,
    SPILLED,
    SPILLING,
)
from shoal._core.logic.store_full import explain_full


class ObjectLives:
    """What can happen to an object."""

    def __init__(self, capacity: int, table: ObjectTable, allocator: Allocator, *, can_spill: bool) -> None:
        self._capacity = capacity
        self._table = table
        self._allocator = allocator
        self._can_spill = can_spill
        self.disk_error = ""
        """Why the last spill failed; empty where it did not."""

    # --- it gets a block --------------------------------------------------------------------------------------------

    def settle_in(self, entry: Entry, block: Block, effects: list[Effect]) -> None:
        """It has room: to be written, or to be restored."""
        del self._table.queue[entry.object_id]
        entry.covered = False
        self._table.place(entry, block)
        size, arena, offset = entry.size, block.arena, block.offset
        if entry.state == QUEUED:
            assert entry.writer is not None
            self._table.move(entry, "room", ALLOCATED)
            warm = min(block.warm, size)
            effects.append(Allocated(entry.writer, entry.request_id, entry.object_id, arena, offset, size, warm))
        else:
            self._table.move(entry, "room", RESTORING)
            entry.moving = True
            effects.append(Restore(entry.object_id, arena, offset, size))
        self._table.rebucket(entry)

    def refuse(self, entry: Entry, kind: str, effects: list[Effect]) -> None:
        """There is no room: tells everybody who wants it in memory."""
        if entry.state == QUEUED:
            self.refuse_writer(entry, kind, effects)
            self.miss(entry, "there was no room for it", effects)
            self._vanish(entry, "refuse", effects)
        else:
            self.refuse_readers(entry, entry.waiters, kind, effects)

    def refuse_writer(self, entry: Entry, kind: str, effects: list[Effect]) -> None:
        """The one who waits to write it is told that it cannot."""
        assert entry.writer is not None
        effects.append(self.full(entry, entry.writer, entry.request_id, kind))
        self._table.unhold(entry.writer, entry.object_id)
        entry.writer = None

    def refuse_readers(self, entry: Entry, waiters: Sequence[Waiter], kind: str, effects: list[Effect]) -> None:
        """These, who wait for it to be restored, are told that it cannot."""
        effects.extend(self.full(entry, client, request_id, kind) for client, request_id, _ in waiters)
        self.stop_waiting(entry, waiters)

    def full(self, entry: Entry, client: bytes, request_id: int, kind: str) -> Full:
        """Returns the refusal of one request."""
        pinned, unsealed = self._table.holders()
        return explain_full(
            client,
            request_id,
            entry.object_id,
            entry.size,
            kind,
            capacity=self._capacity,
            used=self._table.used,
            pinned=pinned,
            unsealed=unsealed,
            idle=self._table.bytes[IDLE] + self._table.bytes[STUCK],
            can_spill=self._can_spill,
            disk_error=self.disk_error,
        )

    # --- it is written and read -------------------------------------------------------------------------------------

    def stop_writing(self, entry: Entry, effects: list[Effect]) -> None:
        """Its writer gives up, or is gone."""
        assert entry.writer is not None
        self._table.unhold(entry.writer, entry.object_id)
        entry.writer = None
        if entry.state == FREED:
            self.leave(entry, "abort", effects)
        else:
            self.miss(entry, "its writer did not finish it", effects)
            self._vanish(entry, "abort", effects)

    def admit(self, entry: Entry, effects: list[Effect]) -> None:
        """It is in memory, whole: those who wait get their pins."""
        waiters, entry.waiters = entry.waiters, []
        for client, request_id, _ in waiters:
            self._table.unhold(client, entry.object_id)
            effects.append(self.pinned(entry, client, request_id))
        self._table.rebucket(entry)

    def pinned(self, entry: Entry, client: bytes, request_id: int) -> Located:
        """A client may read it."""
        self._table.move(entry, "pin", entry.state)
        entry.pins[client] = entry.pins.get(client, 0) + 1
        entry.pin_count += 1
        self._table.hold(client, entry.object_id)
        self._table.rebucket(entry)
        return Located(client, request_id, entry.object_id, entry.arena, entry.offset, entry.size)

    def unpinned(self, entry: Entry, client: bytes, n: int, effects: list[Effect]) -> None:
        """A client lets go of `n` of its pins."""
        entry.pins[client] -= n
        if not entry.pins[client]:
            del entry.pins[client]
        entry.pin_count -= n
        self._table.unhold(client, entry.object_id, n)
        if entry.state == FREED:
            self.leave(entry, "unpin", effects)
        else:
            self._table.move(entry, "unpin", entry.state)
            self._table.rebucket(entry)

    def stop_waiting(self, entry: Entry, waiters: Sequence[Waiter]) -> None:
        """These do not want to read it any more."""
        for waiter in tuple(waiters):
            entry.waiters.remove(waiter)
            self._table.unhold(waiter[0], entry.object_id)
        if entry.state == RECALLED and not entry.waiters:
            self._table.move(entry, "abandon", SPILLED)
            entry.covered = False
            del self._table.queue[entry.object_id]

    def miss(self, entry: Entry, reason: str, effects: list[Effect]) -> None:
        """Those who wait to read it are told that there will be nothing."""
        for client, request_id, _ in entry.waiters:
            self._table.unhold(client, entry.object_id)
            effects.append(Missing(client, request_id, entry.object_id, reason))
        entry.waiters.clear()

    # --- it moves between memory and disk ---------------------------------------------------------------------------

    def evict(self, entry: Entry, effects: list[Effect]) -> bool:
        """It leaves the memory. Returns whether it did at once, because the disk has a copy."""
        if entry.on_disk:
            self._table.move(entry, "evict", SPILLED)
            self._release(entry)
            return True
        self._table.move(entry, "evict", SPILLING)
        entry.moving = True
        self._table.rebucket(entry)
        effects.append(Spill(entry.object_id, entry.arena, entry.offset, entry.size))
        return False

    def spilled(self, entry: Entry, ok: bool, effects: list[Effect]) -> None:
        """Writing it to disk ended."""
        if ok:
            self._table.copied(entry)
        if entry.state == FREED:
            self.leave(entry, "spilled", effects)
        elif ok and not entry.pin_count:
            self._table.move(entry, "spilled", SPILLED)
            self._release(entry)
        else:
            self._table.move(entry, "spilled", SEALED)
            entry.stuck = not ok
            self._table.rebucket(entry)

    def restored(self, entry: Entry, error: str, effects: list[Effect]) -> None:
        """Reading it from disk ended, well where `error` is empty."""
        if entry.state == FREED:
            self.leave(entry, "restored", effects)
        elif not error:
            self._table.move(entry, "restored", SEALED)
            self.admit(entry, effects)
        else:
            self._table.move(entry, "restored", SPILLED)
            self._release(entry)
            for client, request_id, _ in entry.waiters:
                effects.append(Lost(client, request_id, entry.object_id, error))
            self.stop_waiting(entry, entry.waiters)

    def delete_copy(self, entry: Entry, effects: list[Effect]) -> None:
        """Its copy on disk, if there is one, is not wanted."""
        if entry.on_disk:
            self._table.uncopied(entry)
            effects.append(DeleteSpilled(entry.object_id))

    # --- it ends ----------------------------------------------------------------------------------------------------

    def leave(self, entry: Entry, event: str, effects: list[Effect]) -> None:
        """It is unwanted: it goes now, or when the last who touches its block lets go."""
        if entry.pin_count or entry.moving or entry.writer is not None:
            self._table.move(entry, event, FREED)
            if not entry.moving:
                self.delete_copy(entry, effects)
            self._table.rebucket(entry)
        else:
            self._vanish(entry, event, effects)

    def _vanish(self, entry: Entry, event: str, effects: list[Effect]) -> None:
        self._table.move(entry, event, GONE)
        self._table.queue.pop(entry.object_id, None)
        if entry.arena >= 0:
            self._release(entry)
        self.delete_copy(entry, effects)
        del self._table.entries[entry.object_id]

    def _release(self, entry: Entry) -> None:
        self._allocator.release(entry.arena, entry.offset, entry.room)
        self._table.displace(entry)
