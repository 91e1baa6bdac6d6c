"""The objects of one node's store, what their blocks are held for, and which client holds what.

Keeps the books; others decide. Every block is in exactly one *bucket*, so the bytes that are pinned, idle or on their
way to disk are known at any time without counting.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from shoal._core.logic.allocation import Block, block_size
from shoal._core.logic.residency_effects import StoredObject
from shoal._core.logic.residency_states import (
    ALLOCATED,
    FREED,
    QUEUED,
    RECALLED,
    RESTORING,
    SEALED,
    SPILLED,
    SPILLING,
    TRANSITIONS,
    UNKNOWN,
    InvalidTransitionError,
)

NOWHERE, UNSEALED, PINNED, IDLE, STUCK, LEAVING, ARRIVING = range(7)
"""The buckets: no block; being written; open in some client; may be spilled; may be, but that failed; being written to
disk (or unwanted, while its transfer ends); being read from disk."""

_STORY_LENGTH = 10_000

Waiter = tuple[bytes, int, float]
"""A pin that waits for its object: client, request id, deadline."""


class Entry:
    """One object."""

    __slots__ = (
        "arena",
        "bucket",
        "covered",
        "deadline",
        "moving",
        "object_id",
        "offset",
        "on_disk",
        "pin_count",
        "pins",
        "request_id",
        "room",
        "size",
        "state",
        "stuck",
        "waiters",
        "writer",
    )

    def __init__(self, object_id: bytes, size: int, writer: bytes, request_id: int, deadline: float) -> None:
        self.object_id = object_id
        self.size = size
        self.room = block_size(size)
        """Bytes of its block."""
        self.state = UNKNOWN
        self.bucket = NOWHERE
        self.arena = -1
        """-1 = it has no block."""
        self.offset = 0
        self.writer: bytes | None = writer
        """Until it is sealed."""
        self.request_id = request_id
        self.deadline = deadline
        self.covered = False
        """It waits for room that is certain to come."""
        self.pins: dict[bytes, int] = {}
        self.pin_count = 0
        self.waiters: list[Waiter] = []
        self.moving = False
        """A transfer to or from the disk is under way."""
        self.on_disk = False
        self.stuck = False
        """The last attempt to spill it failed."""


class ObjectTable:
    """Objects by id, bytes by bucket, holds by client, and the last transitions."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.idle: OrderedDict[bytes, Entry] = OrderedDict()
        """May be spilled, the least recently used first."""
        self.queue: OrderedDict[bytes, Entry] = OrderedDict()
        """Wait for room, to be written or restored, in the order of the requests."""
        self.stuck: OrderedDict[bytes, Entry] = OrderedDict()
        self.used = 0
        """Bytes in blocks."""
        self.bytes = [0] * 7
        """The same, by bucket (that of NOWHERE means nothing)."""
        self.disk = 0
        """Bytes of copies on disk."""
        self._held: dict[bytes, dict[bytes, int]] = {}
        self._story: deque[tuple[bytes, str, str, str]] = deque(maxlen=_STORY_LENGTH)

    def move(self, entry: Entry, event: str, state: str) -> None:
        """Changes the state. Raises InvalidTransitionError where the table does not have that."""
        if state not in TRANSITIONS.get((entry.state, event), ()):
            raise InvalidTransitionError(entry.object_id, entry.state, event, f"it cannot become {state}")
        self._story.append((entry.object_id, event, entry.state, state))
        entry.state = state

    # --- blocks and copies ------------------------------------------------------------------------------------------

    def place(self, entry: Entry, block: Block) -> None:
        """The object has a block. (Call `rebucket` when its state is set.)"""
        entry.arena = block.arena
        entry.offset = block.offset
        self.used += entry.room

    def displace(self, entry: Entry) -> None:
        """The object has no block any more."""
        self.used -= entry.room
        entry.arena = -1
        entry.stuck = False
        self.rebucket(entry)

    def rebucket(self, entry: Entry) -> None:
        """Books the block under what it is held for now. An object that becomes idle is the most recently used one."""
        if entry.arena < 0:
            bucket = NOWHERE
        elif entry.writer is not None:
            bucket = UNSEALED
        elif entry.pin_count:
            bucket = PINNED
        elif entry.moving:
            bucket = ARRIVING if entry.state == RESTORING else LEAVING
        else:
            bucket = STUCK if entry.stuck else IDLE
        old = entry.bucket
        if bucket == old:
            return
        entry.bucket = bucket
        self.bytes[old] -= entry.room
        self.bytes[bucket] += entry.room
        if old == IDLE:
            del self.idle[entry.object_id]
        elif old == STUCK:
            del self.stuck[entry.object_id]
        if bucket == IDLE:
            self.idle[entry.object_id] = entry
        elif bucket == STUCK:
            self.stuck[entry.object_id] = entry

    def unstick(self, entry: Entry) -> None:
        """A spill that failed may be tried again, before all others."""
        entry.stuck = False
        self.rebucket(entry)
        if entry.bucket == IDLE:
            self.idle.move_to_end(entry.object_id, last=False)

    def copied(self, entry: Entry) -> None:
        """The disk has a copy."""
        entry.on_disk = True
        self.disk += entry.size

    def uncopied(self, entry: Entry) -> None:
        """The copy on disk is given up."""
        entry.on_disk = False
        self.disk -= entry.size

    # --- holds ------------------------------------------------------------------------------------------------------

    def hold(self, client: bytes, object_id: bytes) -> None:
        """The client writes, pins or waits for the object (once more)."""
        held = self._held.get(client)
        if held is None:
            held = self._held[client] = {}
        held[object_id] = held.get(object_id, 0) + 1

    def unhold(self, client: bytes, object_id: bytes, n: int = 1) -> None:
        """Takes back `n` holds."""
        held = self._held[client]
        left = held[object_id] - n
        if left:
            held[object_id] = left
        else:
            del held[object_id]
            if not held:
                del self._held[client]

    def held_by(self, client: bytes) -> tuple[bytes, ...]:
        """Returns the objects that a client writes, pins or waits for."""
        return tuple(self._held.get(client, ()))

    # --- looking inside ---------------------------------------------------------------------------------------------

    def holders(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """Returns bytes pinned and bytes being written, by client. What two have pinned counts for both."""
        pinned: dict[bytes, int] = {}
        unsealed: dict[bytes, int] = {}
        for entry in self.entries.values():
            for client in entry.pins:
                pinned[client] = pinned.get(client, 0) + entry.room
            if entry.bucket == UNSEALED:
                assert entry.writer is not None
                unsealed[entry.writer] = unsealed.get(entry.writer, 0) + entry.room
        return pinned, unsealed

    def objects(self) -> list[StoredObject]:
        """Returns all objects, for people."""
        return [
            StoredObject(
                entry.object_id,
                entry.size,
                entry.state,
                entry.arena,
                entry.offset,
                entry.on_disk,
                entry.writer or b"",
                tuple(entry.pins.items()),
            )
            for entry in self.entries.values()
        ]

    def story(self, object_id: bytes) -> list[str]:
        """Returns the last transitions of one object, oldest first, one line each."""
        return [f"{event}: {old} -> {new}" for known, event, old, new in self._story if known == object_id]

    def check(self) -> None:
        """Raises AssertionError, with the object's story, where an invariant does not hold."""
        held: dict[bytes, dict[bytes, int]] = {}
        sums = [0] * 7
        for object_id, entry in self.entries.items():
            problem = _problem_of(entry)
            assert not problem, f"{object_id.hex()} {problem}: {self.story(object_id)}"
            sums[entry.bucket] += entry.room
            holds = [(client, n) for client, n in entry.pins.items()] + [(waiter[0], 1) for waiter in entry.waiters]
            if entry.writer is not None:
                holds.append((entry.writer, 1))
            for client, n in holds:
                of_client = held.setdefault(client, {})
                of_client[object_id] = of_client.get(object_id, 0) + n
        assert held == self._held, "the holds by client do not match the objects"
        assert sums[1:] == self.bytes[1:], f"bytes by bucket are {self.bytes[1:]}, should be {sums[1:]}"
        assert sum(sums[1:]) == self.used, f"{self.used} bytes in blocks, should be {sum(sums[1:])}"
        assert self.disk == sum(entry.size for entry in self.entries.values() if entry.on_disk)
        waiting = {entry.object_id for entry in self.entries.values() if entry.state in (QUEUED, RECALLED)}
        assert set(self.queue) == waiting, "the queue does not match the objects"
        for bucket, members in ((IDLE, self.idle), (STUCK, self.stuck)):
            assert set(members) == {entry.object_id for entry in self.entries.values() if entry.bucket == bucket}


_WITH_BLOCK = {ALLOCATED, SEALED, SPILLING, RESTORING, FREED}
_MAY_HAVE_WAITERS = {QUEUED, ALLOCATED, RECALLED, RESTORING}


def _problem_of(entry: Entry) -> str:
    """What is wrong with one object, or ''."""
    state = entry.state
    wrong = {
        "has a block or none, against its state": (entry.arena >= 0) != (state in _WITH_BLOCK),
        "has a writer or none, against its state": state != FREED
        and (entry.writer is not None) != (state in (QUEUED, ALLOCATED)),
        "miscounts its pins": entry.pin_count != sum(entry.pins.values()) or 0 in entry.pins.values(),
        "is pinned, against its state": entry.pin_count > 0 and state not in (SEALED, SPILLING, FREED),
        "keeps readers waiting, against its state": bool(entry.waiters) and state not in _MAY_HAVE_WAITERS,
        "is recalled by nobody": state == RECALLED and not entry.waiters,
        "is moving or not, against its state": state != FREED and entry.moving != (state in (SPILLING, RESTORING)),
        "should be on disk": state in (SPILLED, RECALLED, RESTORING) and not entry.on_disk,
        "should be gone": state == FREED and not (entry.pin_count or entry.moving or entry.writer is not None),
        "waits for room, against its state": entry.covered and state not in (QUEUED, RECALLED),
    }
    return ", ".join(problem for problem, holds in wrong.items() if holds)
