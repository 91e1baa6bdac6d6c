"""What the residency of objects orders, answers and reports. Frozen; `client` is the id of the process that asked."""

from __future__ import annotations

import msgspec

# --- orders to the memory and the disk ------------------------------------------------------------------------------


class AddArena(msgspec.Struct, frozen=True, gc=False):
    """Make an arena of so many bytes; blocks in it follow in the same list of effects."""

    arena: int
    size: int


class RemoveArena(msgspec.Struct, frozen=True, gc=False):
    """Nothing lies in the arena any more: give back its pages, close it, and tell the clients that have it."""

    arena: int


class PunchHole(msgspec.Struct, frozen=True, gc=False):
    """Give the pages of a free range back to the machine, then announce it with `punched`."""

    arena: int
    offset: int
    size: int


class Spill(msgspec.Struct, frozen=True, gc=False):
    """Write the object to disk, then announce it with `spilled`."""

    object_id: bytes
    arena: int
    offset: int
    size: int


class Restore(msgspec.Struct, frozen=True, gc=False):
    """Read the object from disk into its new block, then announce it with `restored`."""

    object_id: bytes
    arena: int
    offset: int
    size: int


class DeleteSpilled(msgspec.Struct, frozen=True, gc=False):
    """The object's copy on disk is not needed any more."""

    object_id: bytes


# --- answers to clients ---------------------------------------------------------------------------------------------


class Allocated(msgspec.Struct, frozen=True, gc=False):
    """Write the object here, then seal it. The first `warm` bytes lie on pages that were used before."""

    client: bytes
    request_id: int
    object_id: bytes
    arena: int
    offset: int
    size: int
    warm: int


class AlreadyStored(msgspec.Struct, frozen=True, gc=False):
    """Nothing was allocated: the store has an object of this id, in that state."""

    client: bytes
    request_id: int
    object_id: bytes
    state: str


class Located(msgspec.Struct, frozen=True, gc=False):
    """The object is here, and stays here until the client unpins it."""

    client: bytes
    request_id: int
    object_id: bytes
    arena: int
    offset: int
    size: int


class Missing(msgspec.Struct, frozen=True, gc=False):
    """The store has no such object, or has it no longer."""

    client: bytes
    request_id: int
    object_id: bytes
    reason: str


class Lost(msgspec.Struct, frozen=True, gc=False):
    """The object was spilled, and its copy on disk cannot be read."""

    client: bytes
    request_id: int
    object_id: bytes
    error: str


class AskBack(msgspec.Struct, frozen=True, gc=False):
    """There is too little room: the client shall let go of what it has pinned ahead and does not use yet."""

    client: bytes


TOO_LARGE = "too large"
HELD = "held"
NO_DISK = "no disk"
FREED_BEFORE = "freed before"


class Full(msgspec.Struct, frozen=True):
    """There is no room for the object, and nothing that the store can do about it."""

    client: bytes
    request_id: int
    object_id: bytes
    size: int
    kind: str
    """TOO_LARGE: larger than the store. HELD: clients hold too much, and did not let go in time. NO_DISK: spilling
    fails. FREED_BEFORE: its owner freed it while this request waited."""
    capacity: int
    used: int
    pinned: tuple[tuple[bytes, int], ...]
    """(client, bytes of objects that it has open), the most first."""
    unsealed: tuple[tuple[bytes, int], ...]
    """(client, bytes of blocks that it is writing), the most first."""
    text: str
    """All of it in words, with what to do."""


Effect = (
    AddArena
    | RemoveArena
    | PunchHole
    | Spill
    | Restore
    | DeleteSpilled
    | Allocated
    | AlreadyStored
    | Located
    | Missing
    | Lost
    | AskBack
    | Full
)


# --- reports --------------------------------------------------------------------------------------------------------


class StoreStats(msgspec.Struct, frozen=True):
    """The store in numbers. All sizes in bytes; those of memory are of blocks (sizes rounded up to the alignment)."""

    capacity: int
    used: int
    """In blocks, of whatever state."""
    unsealed: int
    pinned: int
    idle: int
    """Sealed and open nowhere: may be spilled."""
    moving: int
    """In blocks that are being written to disk or read from it."""
    warm_free: int
    """Free, but not given back to the machine."""
    arena_bytes: int
    """Address space; free cold parts take no memory."""
    arenas: int
    objects: int
    """Known in all, waiting ones included."""
    spilled: int
    """On disk only."""
    spilled_objects: int
    disk: int
    """On disk, copies of what is in memory included."""
    waiting: int
    """Requests that wait for room."""
    waiting_bytes: int
    spilled_total: int
    """Bytes written to disk since the start."""
    restored_total: int
    """Bytes read from disk since the start."""


class StoredObject(msgspec.Struct, frozen=True):
    """One object, for people. `arena` is -1 for what has no block."""

    object_id: bytes
    size: int
    state: str
    arena: int
    offset: int
    on_disk: bool
    writer: bytes
    """Who is writing it, or waits to; empty once sealed."""
    pins: tuple[tuple[bytes, int], ...]
