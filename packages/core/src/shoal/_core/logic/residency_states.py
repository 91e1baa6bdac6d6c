"""The states of a stored object, and what may follow what."""

from __future__ import annotations

from shoal.exceptions import ShoalSystemError

UNKNOWN = "unknown"
QUEUED = "queued"
"""Its writer waits for room."""
ALLOCATED = "allocated"
"""Its writer fills the block."""
SEALED = "sealed"
"""In memory, whole; it never changes again."""
SPILLING = "spilling"
"""Still in memory, on its way to disk."""
SPILLED = "spilled"
"""On disk only."""
RECALLED = "recalled"
"""On disk; readers wait for room to bring it back."""
RESTORING = "restoring"
"""It has a block, which is being filled from disk."""
FREED = "freed"
"""Unwanted, but its block may still be read, written or transferred."""
GONE = "gone"

TRANSITIONS: dict[tuple[str, str], tuple[str, ...]] = {
    (UNKNOWN, "allocate"): (QUEUED,),
    (QUEUED, "room"): (ALLOCATED,),
    (QUEUED, "refuse"): (GONE,),
    (QUEUED, "abort"): (GONE,),
    (QUEUED, "free"): (GONE,),
    (ALLOCATED, "seal"): (SEALED,),
    (ALLOCATED, "abort"): (GONE,),
    (ALLOCATED, "free"): (FREED,),
    (SEALED, "pin"): (SEALED,),
    (SEALED, "unpin"): (SEALED,),
    (SEALED, "evict"): (SPILLING, SPILLED),
    (SEALED, "free"): (FREED, GONE),
    (SPILLING, "pin"): (SPILLING,),
    (SPILLING, "unpin"): (SPILLING,),
    (SPILLING, "spilled"): (SPILLED, SEALED),
    (SPILLING, "free"): (FREED,),
    (SPILLED, "pin"): (RECALLED,),
    (SPILLED, "free"): (GONE,),
    (RECALLED, "room"): (RESTORING,),
    (RECALLED, "abandon"): (SPILLED,),
    (RECALLED, "free"): (GONE,),
    (RESTORING, "restored"): (SEALED, SPILLED),
    (RESTORING, "free"): (FREED,),
    (FREED, "seal"): (GONE,),
    (FREED, "abort"): (GONE,),
    (FREED, "unpin"): (FREED, GONE),
    (FREED, "spilled"): (FREED, GONE),
    (FREED, "restored"): (GONE,),
    (FREED, "free"): (FREED,),
}
"""(state, event) to the states that may follow. What is not here is an error."""


class InvalidTransitionError(ShoalSystemError):
    """An event came for an object that cannot have it in its state.

    Args:
        object_id: the object.
        state: what it is now; 'unknown' where the store has none of this id.
        event: what came.
        detail: more about it.
    """

    def __init__(self, object_id: bytes, state: str, event: str, detail: str = "") -> None:
        more = f": {detail}" if detail else ""
        super().__init__(f"'{event}' came for object {object_id.hex()}, which is {state}{more}")
        self.object_id = object_id
        self.state = state
        self.event = event
