"""The node's object store: feeds `logic/residency.py` with what clients ask, and carries its effects out on memory and disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shoal._core.logic.residency import Residency
from shoal._core.logic.residency_effects import (
    NO_DISK,
    AddArena,
    Allocated,
    AlreadyStored,
    AskBack,
    DeleteSpilled,
    Effect,
    Full,
    Located,
    Lost,
    Missing,
    PunchHole,
    RemoveArena,
    Restore,
    Spill,
    StoredObject,
)
from shoal._core.schema import messages
from shoal._core.schema.ids import WORKER_ID_SIZE
from shoal._core.system.arenas import Arenas
from shoal._core.system.event_loop import EventLoop, Timer
from shoal._core.system.job_threads import JobThreads
from shoal._core.system.spill_files import SpillFiles
from shoal._core.system.transport import Connection, ConnectionClosed


class NodeStore:
    """Shared memory of one node. Belongs to the daemon's loop; disk transfers run on their own thread.

    Args:
        capacity: bytes.
        spill_dirs: where objects go that do not fit.
        patience: seconds for which clients may hold all memory before a request for more is refused.
        loop: the daemon's.
    """

    def __init__(self, capacity: int, spill_dirs: list[str], patience: float, loop: EventLoop) -> None:
        self._patience = patience
        self._loop = loop
        self._residency = Residency(capacity)
        self._threads = JobThreads("shoal-store")
        self._arenas = Arenas(self._threads)
        self._spill_files = SpillFiles(spill_dirs, self._arenas, self._threads)
        self._clients: dict[bytes, Connection] = {}
        self._known_arenas: dict[bytes, set[int]] = {}
        self._timer: Timer | None = None

    # --- clients -----------------------------------------------------------------------------------------------------------

    def client_joined(self, client: bytes, connection: Connection) -> None:
        self._clients[client] = connection
        self._known_arenas[client] = set()

    def client_gone(self, client: bytes) -> None:
        self._clients.pop(client, None)
        self._known_arenas.pop(client, None)
        self._carry_out(self._residency.client_gone(client))
        # What it owned can be asked for by nobody: only the owner knew who may.
        self._carry_out(self._residency.owner_gone(client))

    def handle(self, client: bytes, message: Any) -> bool:
        """Takes a client's message about memory. Returns False for all others."""
        kind = type(message)
        residency = self._residency
        if kind is messages.Pin and message.ahead:
            self._carry_out(residency.pin_ahead(message.object_id, client, message.request_id))
        elif kind is messages.Pin:
            deadline = time.monotonic() + self._patience
            self._carry_out(residency.pin(message.object_id, client, message.request_id, deadline))
        elif kind is messages.Unpin:
            for object_id in message.object_ids:
                self._carry_out(residency.unpin(object_id, client))
        elif kind is messages.Allocate:
            if message.object_id[:WORKER_ID_SIZE] not in self._clients:
                # Its owner is gone: nobody can ask for it, and nobody would free it.
                self._answer(client, messages.Allocated(message.request_id, -1, 0, 0))
                return True
            deadline = time.monotonic() + self._patience
            self._carry_out(residency.allocate(message.object_id, message.size, client, message.request_id, deadline))
        elif kind is messages.Seal:
            self._carry_out(residency.seal(message.object_id, client))
        elif kind is messages.Abort:
            self._carry_out(residency.abort(message.object_id, client))
        elif kind is messages.FreeObjects:
            for object_id in message.object_ids:
                self._carry_out(residency.free(object_id))
        else:
            return False
        return True

    # --- effects -------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out_one(effect)
        self._arm_timer()

    def _carry_out_one(self, effect: Effect) -> None:
        if isinstance(effect, Located):
            self._show_arena(effect.client, effect.arena)
            self._answer(effect.client, messages.Located(effect.request_id, effect.arena, effect.offset, effect.size))
        elif isinstance(effect, Allocated):
            self._show_arena(effect.client, effect.arena)
            self._answer(
                effect.client,
                messages.Allocated(effect.request_id, effect.arena, effect.offset, effect.size, effect.warm),
            )
        elif isinstance(effect, AlreadyStored):
            # A task that ran again: the first attempt's result is as good.
            self._answer(effect.client, messages.Allocated(effect.request_id, -1, 0, 0))
        elif isinstance(effect, Missing):
            self._answer(effect.client, messages.Missing(effect.request_id, effect.reason))
        elif isinstance(effect, Lost):
            self._answer(
                effect.client, messages.Missing(effect.request_id, f"its copy on disk cannot be read: {effect.error}")
            )
        elif isinstance(effect, AskBack):
            self._answer(effect.client, messages.RoomNeeded())
        elif isinstance(effect, Full):
            self._answer(effect.client, messages.StoreFull(effect.request_id, effect.text, effect.kind == NO_DISK))
        elif isinstance(effect, AddArena):
            self._arenas.add(effect.arena, effect.size)
        elif isinstance(effect, RemoveArena):
            self._remove_arena(effect.arena)
        elif isinstance(effect, PunchHole):
            self._arenas.punch(effect.arena, effect.offset, effect.size, self._when_punched(effect))
        elif isinstance(effect, Spill):
            self._spill_files.spill(
                effect.object_id, effect.arena, effect.offset, effect.size, self._when_done(effect.object_id, "spilled")
            )
        elif isinstance(effect, Restore):
            self._spill_files.restore(
                effect.object_id,
                effect.arena,
                effect.offset,
                effect.size,
                self._when_done(effect.object_id, "restored"),
            )
        elif isinstance(effect, DeleteSpilled):
            self._spill_files.delete(effect.object_id)

    def _when_done(self, object_id: bytes, event: str) -> Callable[[str], None]:
        def done(error: str) -> None:
            report = getattr(self._residency, event)
            self._loop.call_soon(lambda: self._carry_out(report(object_id, not error, error)))

        return done

    def _when_punched(self, hole: PunchHole) -> Callable[[], None]:
        def done() -> None:
            self._loop.call_soon(lambda: self._carry_out(self._residency.punched(hole.arena, hole.offset, hole.size)))

        return done

    def _answer(self, client: bytes, message: Any) -> None:
        connection = self._clients.get(client)
        if connection is not None:
            self._send(connection, message)

    def _send(self, connection: Connection, message: Any, fds: list[int] | None = None) -> None:
        try:
            connection.send(message, fds)
        except ConnectionClosed:
            return  # `client_gone` follows

    def _show_arena(self, client: bytes, arena: int) -> None:
        known = self._known_arenas.get(client)
        if known is not None and arena not in known:
            known.add(arena)
            message = messages.ArenaAdded(arena, self._arenas.size(arena))
            self._send(self._clients[client], message, [self._arenas.fd(arena)])

    def _remove_arena(self, arena: int) -> None:
        for client, known in self._known_arenas.items():
            if arena in known:
                known.discard(arena)
                self._send(self._clients[client], messages.ArenaRemoved(arena))
        self._arenas.remove(arena)

    def _arm_timer(self) -> None:
        due = self._residency.next_deadline()
        if self._timer is not None:
            if due is not None and not self._timer.cancelled and self._timer.when <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._carry_out(self._residency.tick(time.monotonic()))

    # --- looking inside --------------------------------------------------------------------------------------------------------

    def stats(self) -> Any:
        return self._residency.stats()

    def objects(self) -> list[StoredObject]:
        return self._residency.objects()

    def close(self) -> None:
        self._threads.close()
        self._spill_files.close()
        self._arenas.close()
