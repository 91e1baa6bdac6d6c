"""All objects of an inline session: their values in serialized form, who holds them, who waits for them.

An object lives while anything holds it: a reference in the user's code, a call that takes it, an object that contains it. Handles of
actors are counted in the same way, by an object without a value. All of this belongs inside of `with turns:`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from shoal._core.schema.ids import HANDLE_SUFFIX, TASK_ID_SIZE

PENDING = 0
VALUE = 1
ERROR = 2
FREED = 3


class Entry:
    """One object."""

    __slots__ = ("contained", "data", "holds", "kind", "waiters")

    def __init__(self) -> None:
        self.kind = PENDING
        self.data: bytes = b""
        """The serialized value or error."""
        self.holds = 0
        self.contained: list[bytes] = []
        """Objects that the value refers to; each is held."""
        self.waiters: list[Waiter] = []


class Waiter:
    """Counts down as objects become ready, and calls back at zero.

    Args:
        count: how many must become ready.
        at_error: whether one error is enough.
        callback: called once, inside of `with turns:`.
    """

    __slots__ = ("at_error", "callback", "count", "is_done")

    def __init__(self, count: int, callback: Callable[[], None], *, at_error: bool = False) -> None:
        self.count = count
        self.callback = callback
        self.at_error = at_error
        self.is_done = False

    def notify(self, *, failed: bool) -> None:
        self.count -= 1
        if not self.is_done and (self.count <= 0 or (failed and self.at_error)):
            self.is_done = True
            self.callback()


class ObjectTable:
    """The objects.

    Args:
        on_unheld: called with a handle's object id when no handle of an actor is left.
    """

    def __init__(self, on_unheld: Callable[[bytes], None]) -> None:
        self.entries: dict[bytes, Entry] = {}
        self._on_unheld = on_unheld

    def create(self, object_id: bytes, holds: int = 0) -> Entry:
        """A new object, or the one there is."""
        entry = self.entries.get(object_id)
        if entry is None:
            entry = self.entries[object_id] = Entry()
        entry.holds += holds
        return entry

    def hold(self, object_ids: Iterable[bytes]) -> None:
        for object_id in object_ids:
            self.entries[object_id].holds += 1

    def borrow(self, object_id: bytes) -> None:
        """A reference arrived in pickled data; the object may be gone, if the data was not the engine's."""
        entry = self.entries.get(object_id)
        if entry is None:
            entry = self.entries[object_id] = Entry()
            entry.kind = FREED
        entry.holds += 1

    def release(self, object_ids: Iterable[bytes]) -> None:
        """Lets objects go; what nobody holds is forgotten, with what only it contained."""
        going = list(object_ids)
        while going:
            object_id = going.pop()
            entry = self.entries.get(object_id)
            if entry is None:
                continue
            entry.holds -= 1
            if entry.holds > 0:
                continue
            del self.entries[object_id]
            going.extend(entry.contained)
            if object_id[TASK_ID_SIZE:] == HANDLE_SUFFIX:
                self._on_unheld(object_id)

    def complete(self, object_id: bytes, kind: int, data: bytes, contained: list[bytes] | None = None) -> None:
        """An object has its value or error. Nothing happens where nobody holds it, or it has one."""
        entry = self.entries.get(object_id)
        if entry is None or entry.kind != PENDING:
            return
        entry.kind = kind
        entry.data = data
        if contained:
            self.hold(contained)
            entry.contained = contained
        waiters, entry.waiters = entry.waiters, []
        for waiter in waiters:
            waiter.notify(failed=kind == ERROR)

    def free(self, object_id: bytes) -> None:
        """Forgets a value by hand, whoever holds it."""
        entry = self.entries[object_id]
        if entry.kind == VALUE:
            contained, entry.contained = entry.contained, []
            entry.kind, entry.data = FREED, b""
            self.release(contained)

    def stop_waiting(self, object_ids: Iterable[bytes], waiter: Waiter) -> None:
        for object_id in object_ids:
            entry = self.entries.get(object_id)
            if entry is not None and waiter in entry.waiters:
                entry.waiters.remove(waiter)

    def error_among(self, object_ids: Iterable[bytes]) -> bytes:
        """Returns the serialized error of the first object that has one; empty for none."""
        for object_id in object_ids:
            entry = self.entries[object_id]
            if entry.kind == ERROR:
                return entry.data
        return b""

    def pending_among(self, object_ids: Iterable[bytes]) -> list[bytes]:
        return [object_id for object_id in object_ids if self.entries[object_id].kind == PENDING]

    def rows(self, pid: int) -> list[dict[str, Any]]:
        """One row an object, in the keys of `shoal.util.state.ObjectState`."""
        rows = []
        for object_id, entry in self.entries.items():
            is_handle = object_id[TASK_ID_SIZE:] == HANDLE_SUFFIX
            rows.append(
                {
                    "object_id": object_id.hex(),
                    "object_size": len(entry.data),
                    "task_status": "PENDING" if entry.kind == PENDING and not is_handle else "FINISHED",
                    "attempt_number": 0,
                    "reference_type": "ACTOR_HANDLE" if is_handle else "LOCAL_REFERENCE",
                    "call_site": "",
                    "type": "DRIVER",
                    "pid": pid,
                    "ip": "127.0.0.1",
                    "is_owner": True,
                    "local_references": entry.holds,
                }
            )
        return rows
