"""Says why the store has no room for an object: who holds what, and what would help."""

from __future__ import annotations

from collections.abc import Mapping

from shoal._core.logic.residency_effects import FREED_BEFORE, NO_DISK, TOO_LARGE, Full

_SHOWN = 5


def size_text(size: int) -> str:
    """Returns a size in bytes as people read it: '2.5 GiB'."""
    if size < 1024:
        return f"{size} B"
    amount = size / 1024
    for unit in ("KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def explain_full(
    client: bytes,
    request_id: int,
    object_id: bytes,
    size: int,
    kind: str,
    *,
    capacity: int,
    used: int,
    pinned: Mapping[bytes, int],
    unsealed: Mapping[bytes, int],
    idle: int,
    can_spill: bool,
    disk_error: str,
) -> Full:
    """Returns the refusal of one request.

    Args:
        client: who asked.
        request_id: its number of the request.
        object_id: the object that finds no room.
        size: its size in bytes.
        kind: TOO_LARGE, HELD, NO_DISK or FREED_BEFORE.
        capacity: of the store, in bytes.
        used: bytes in blocks.
        pinned: bytes that each client has open. An object that two have open counts for both.
        unsealed: bytes that each client is writing.
        idle: bytes of objects that nobody has open.
        can_spill: whether objects may be written to disk.
        disk_error: why the last spill failed; empty where it did not.
    """
    most_pinned, most_unsealed = _largest_first(pinned), _largest_first(unsealed)
    room = f"the object store of {size_text(capacity)}"
    text = f"No room for object {object_id.hex()} of {size_text(size)} in {room}: "
    if kind == TOO_LARGE:
        text += "it is larger than the whole store. Give more object_store_memory=, or store it in smaller pieces."
    elif kind == FREED_BEFORE:
        text += "its owner freed it while it waited for room."
    else:
        parts = [f"{size_text(used)} are in use"]
        if most_pinned:
            parts.append(f"in use by values that are still alive: {_named(most_pinned)}")
        if most_unsealed:
            parts.append(f"being written: {_named(most_unsealed)}")
        if idle:
            parts.append(f"not open anywhere: {size_text(idle)}" + ("" if can_spill else " (spilling is off)"))
        if disk_error:
            parts.append(f"spilling to disk fails: {disk_error}")
        text += "; ".join(parts)
        if kind == NO_DISK:
            text += ". Make room on the disk, or give another object_spilling_directory=."
        else:
            text += ". Let go of values that are not needed any more (`del`), or give more object_store_memory=."
    return Full(client, request_id, object_id, size, kind, capacity, used, most_pinned, most_unsealed, text)


def _largest_first(sizes: Mapping[bytes, int]) -> tuple[tuple[bytes, int], ...]:
    return tuple(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def _named(holders: tuple[tuple[bytes, int], ...]) -> str:
    text = ", ".join(f"{client.hex()[:12]}: {size_text(size)}" for client, size in holders[:_SHOWN])
    return text if len(holders) <= _SHOWN else f"{text} and {len(holders) - _SHOWN} more"
