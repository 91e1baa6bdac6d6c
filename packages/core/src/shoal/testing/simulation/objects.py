"""A simulated client's objects: the shell over `logic/ownership.py` that `process/references.py` is for real."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from shoal._core.logic.ownership import PENDING, Entry, Freed, Ownership
from shoal._core.schema.ids import HANDLE_SUFFIX, TASK_ID_SIZE, object_id_of
from shoal._core.schema.messages import (
    ERROR,
    INLINE,
    LOST,
    STORED,
    BorrowersChanged,
    BorrowersKnown,
    FetchObjects,
    FreeObjects,
    Message,
    ObjectsReady,
    ObjectValue,
    TaskResult,
)
from shoal.testing.simulation import values
from shoal.testing.simulation.network import Unreachable
from shoal.testing.simulation.peers import Peer, Peers
from shoal.testing.simulation.store import Store
from shoal.testing.simulation.values import Failure, InnerRef, Value, dump
from shoal.testing.simulation.witness import Witness


class Ref:
    """One reference that a program holds, until it drops it. `actor_id` is set where it is a handle."""

    __slots__ = ("_objects", "actor_id", "held", "object_id")

    def __init__(self, objects: Objects, object_id: bytes, actor_id: bytes = b"") -> None:
        self._objects = objects
        self.object_id = object_id
        self.actor_id = actor_id
        self.held = True

    def drop(self) -> None:
        if self.held:
            self.held = False
            self._objects.drop(self.object_id)

    def inner(self) -> InnerRef:
        """What another process needs to rebuild the reference."""
        object_id, owner_address = self._objects.parts(self.object_id)
        return InnerRef(object_id, owner_address, self.actor_id)


class Waiting:
    """Somebody who waits for some objects; `wake` is called once."""

    __slots__ = ("_wake", "failed", "remaining")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.remaining = 0
        self.failed = False

    def notify(self, is_error: bool, due: list[Callable[[], None]]) -> None:
        if self.remaining <= 0:
            return
        self.remaining = 0 if is_error else self.remaining - 1
        if self.remaining == 0:
            due.append(self._wake)


class Objects:
    """All that one client knows of objects."""

    def __init__(
        self,
        worker_id: bytes,
        address: str,
        node_id: bytes,
        peers: Peers,
        store: Store,
        to_node: Callable[[Message], None],
        soon: Callable[[Callable[[], None]], None],
        witness: Witness,
    ) -> None:
        self.table = Ownership(worker_id)
        self.due: list[Callable[[], None]] = []
        self.on_handle_unheld: Callable[[bytes], None] = _ignore
        self.on_freed: Callable[[], None] = _nothing
        self.on_owned_freed: Callable[[bytes], None] = _ignore
        self._worker_id = worker_id
        self._address = address
        self.node_id = node_id
        self._peers = peers
        self._store = store
        self._to_node = to_node
        self._soon = soon
        self._witness = witness
        self._fetchers: dict[bytes, list[Peer]] = {}
        self._acks = itertools.count(1)
        self._held_for_ack: dict[int, tuple[str, list[bytes]]] = {}

    # --- references ---------------------------------------------------------------------------------------------------

    def drop(self, object_id: bytes) -> None:
        self.carry_out(self.table.drop_local([object_id]))

    def carry_out(self, freed: list[Freed]) -> None:
        """Tells others what is not needed any more."""
        stored: list[bytes] = []
        for item in freed:
            if not item.owner_address:
                self.on_owned_freed(item.object_id)
            if item.owner_address:
                if item.count:
                    self._tell_owner(item.owner_address, item.object_id, self._worker_id, -item.count)
            elif item.nodes:
                stored.append(item.object_id)
            elif item.object_id[TASK_ID_SIZE:] == HANDLE_SUFFIX:
                self.on_handle_unheld(item.object_id)
        if stored:
            self._to_node(FreeObjects(stored))
        self.on_freed()

    def _tell_owner(self, owner_address: str, object_id: bytes, borrower: bytes, count: int) -> None:
        try:
            self._peers.connect_to(owner_address).send(BorrowersChanged([(object_id, borrower, count)]))
        except Unreachable:
            return  # a dead owner counts nothing

    def parts(self, object_id: bytes) -> tuple[bytes, str]:
        entry = self.table.entries.get(object_id)
        return object_id, (entry.owner_address if entry is not None else "") or self._address

    def rebuild(self, inner: Iterable[InnerRef]) -> list[Ref]:
        """Makes references of those that arrived inside a value."""
        refs = []
        for item in inner:
            self._witness.referred(item.object_id, self._worker_id)
            self.table.refer(item.object_id, item.owner_address)
            refs.append(Ref(self, item.object_id, item.actor_id))
        return refs

    def handed_on(self, given: Iterable[tuple[bytes, str]], borrower: bytes, holding: Iterable[bytes]) -> None:
        """This process gave references (id, and owner's address) to `borrower`: see that their owners count it. Until they do,
        `holding` stays in use here."""
        by_owner: dict[str, list[bytes]] = {}
        for object_id, owner_address in given:
            if self.table.owns(object_id):
                self.carry_out(self.table.borrowed(object_id, borrower, 1))
            else:
                by_owner.setdefault(owner_address, []).append(object_id)
        for owner_address, object_ids in by_owner.items():
            self._tell_and_hold(owner_address, object_ids, borrower, list(holding))

    def declined(self, result: TaskResult) -> None:
        """This process has no use for a result that came."""
        stored = [object_id_of(result.task_id, 0)] if result.kind == STORED else []
        stored += [value.object_id for value in result.values if value.kind == STORED]
        for object_id in stored:
            entry = self.table.entries.get(object_id)
            if entry is None or entry.kind not in (PENDING, STORED):
                self._to_node(FreeObjects([object_id]))
        for contained in (result.contained, *(value.contained for value in result.values)):
            for object_id, owner_address in contained:
                if self.table.owns(object_id):
                    self.carry_out(self.table.borrowed(object_id, self._worker_id, -1))
                else:
                    self._tell_owner(owner_address, object_id, self._worker_id, -1)

    def _hold(self, contained: list[tuple[bytes, str]]) -> None:
        for object_id, _ in contained:
            self._witness.held(object_id, self._worker_id)

    # --- values -------------------------------------------------------------------------------------------------------

    def complete(
        self,
        object_id: bytes,
        kind: int,
        data: bytes,
        size: int = 0,
        nodes: list[bytes] | None = None,
        contained: list[tuple[bytes, str]] | None = None,
    ) -> None:
        """An object got its value or error: wakes all that wait for it."""
        self._hold(contained or [])
        for waiting in self.table.complete(object_id, kind, data, size, nodes or [], contained or []):
            waiting.notify(kind == ERROR, self.due)
        entry = self.table.entries.get(object_id)
        if entry is not None and entry.local <= 0:
            self.carry_out(self.table.discard_if_unneeded(object_id))
        fetchers = self._fetchers.pop(object_id, None)
        if fetchers is not None and entry is not None:
            for peer in fetchers:
                peer.send(ObjectsReady([self._value(object_id, entry)]))

    def fail(self, object_id: bytes, failure: Failure) -> None:
        self.complete(object_id, ERROR, dump(failure))

    def run_due(self) -> None:
        while self.due:
            self.due.pop()()

    def value(self, object_id: bytes) -> ObjectValue:
        """A completed object in wire form."""
        return self._value(object_id, self.table.entries[object_id])

    def _value(self, object_id: bytes, entry: Entry) -> ObjectValue:
        contained = [self.parts(inner_id) for inner_id in entry.contained]
        data = entry.data if entry.kind != STORED else b""
        return ObjectValue(object_id, entry.kind, data, entry.size, entry.nodes, contained)

    def put(self, object_id: bytes, value: Value, stored: bool) -> Ref:
        data = dump(value)
        contained = [(inner.object_id, inner.owner_address) for inner in value.refs]
        self.table.create(object_id)
        if stored:
            self._store.write(object_id, data)
            self.table.complete(object_id, STORED, b"", len(data), [self.node_id], contained, counted=False)
        else:
            self.table.complete(object_id, INLINE, data, len(data), [], contained, counted=False)
        return Ref(self, object_id)

    # --- waiting ------------------------------------------------------------------------------------------------------

    def await_(self, object_id: bytes, entry: Entry, waiting: Waiting) -> None:
        waiting.remaining += 1
        if entry.waiters is None:
            entry.waiters = []
        entry.waiters.append(waiting)
        if entry.owner_address and not entry.fetching:
            entry.fetching = True
            try:
                sent = self._peers.connect_to(entry.owner_address).send(FetchObjects([object_id]))
            except Unreachable:
                sent = False
            if not sent:
                owner = entry.owner_address
                self._soon(lambda: self.owner_gone(owner))

    def owner_gone(self, address: str) -> None:
        """A process that owns objects has died: what is still waited for from it will never come."""
        for ack in [ack for ack, (owner, _) in self._held_for_ack.items() if owner == address]:
            self._acknowledged(ack)
        lost = [
            object_id
            for object_id, entry in self.table.entries.items()
            if entry.owner_address == address and entry.kind == PENDING
        ]
        for object_id in lost:
            self.fail(object_id, Failure(values.OWNER_DIED, object_id))
        self.run_due()

    def wait_for_all(self, refs: Sequence[Ref], wake: Callable[[], None]) -> Waiting | None:
        """Calls `wake` when all are there, or one has failed. Returns None where that is so already."""
        waiting = Waiting(wake)
        pending: dict[bytes, Entry] = {}
        for ref in refs:
            entry = self.table.entries[ref.object_id]
            if entry.kind == ERROR:
                return None
            if entry.kind == PENDING:
                pending[ref.object_id] = entry
        for object_id, entry in pending.items():
            self.await_(object_id, entry, waiting)
        return waiting if pending else None

    def stop_waiting(self, refs: Sequence[Ref], waiting: Waiting) -> None:
        waiting.remaining = 0
        for ref in refs:
            entry = self.table.entries.get(ref.object_id)
            if entry is not None and entry.waiters is not None and waiting in entry.waiters:
                entry.waiters.remove(waiting)

    def has_failed(self, ref: Ref) -> bool:
        return self.table.entries[ref.object_id].kind == ERROR

    def load(self, ref: Ref) -> tuple[Value | Failure, list[Ref]]:
        """Returns a value that is there, and the references that it brought; or the failure."""
        outcome, arrived = self._read(ref)
        self._witness.got(ref.object_id, outcome)
        return outcome, arrived

    def _read(self, ref: Ref) -> tuple[Value | Failure, list[Ref]]:
        entry = self.table.entries[ref.object_id]
        if entry.kind == ERROR:
            return values.load_failure(entry.data), []
        data: bytes | None = entry.data
        if entry.kind == STORED:
            data = self._store.read(ref.object_id)
        if entry.kind == LOST or data is None:
            return Failure(values.LOST, ref.object_id), []
        value = values.load_value(data)
        arrived = self.rebuild(value.refs)
        if entry.owner_address and arrived:
            self._register_borrows(ref.object_id, [inner.object_id for inner in arrived])
        return value, arrived

    def _register_borrows(self, container_id: bytes, object_ids: list[bytes]) -> None:
        """References came out of somebody else's object: their owners must know before the container may go."""
        by_owner: dict[str, list[bytes]] = {}
        for object_id in dict.fromkeys(object_ids):
            entry = self.table.entries.get(object_id)
            if entry is not None and entry.owner_address and entry.received == 0:
                entry.received += 1
                by_owner.setdefault(entry.owner_address, []).append(object_id)
        for owner, ids in by_owner.items():
            self._tell_and_hold(owner, ids, self._worker_id, [container_id])

    def _tell_and_hold(self, owner: str, object_ids: list[bytes], borrower: bytes, holding: list[bytes]) -> None:
        ack = next(self._acks)
        self.table.use(holding)
        self._held_for_ack[ack] = (owner, holding)
        changes = [(object_id, borrower, 1) for object_id in object_ids]
        try:
            sent = self._peers.connect_to(owner).send(BorrowersChanged(changes, ack))
        except Unreachable:
            sent = False
        if not sent:
            self._acknowledged(ack)

    def _acknowledged(self, ack: int) -> None:
        held = self._held_for_ack.pop(ack, None)
        if held is not None:
            self.carry_out(self.table.end_use(held[1]))

    def needed_by_others(self) -> bool:
        """Whether this process owns anything that somebody still refers to."""
        return any(
            not entry.owner_address and (entry.local > 0 or entry.uses > 0 or entry.borrowers is not None)
            for entry in self.table.entries.values()
        )

    # --- what peers say -----------------------------------------------------------------------------------------------

    def handle(self, peer: Peer, message: object) -> bool:
        """Takes a peer's message about objects. Returns False for all others."""
        if isinstance(message, FetchObjects):
            self._fetch(peer, message.object_ids)
        elif isinstance(message, ObjectsReady):
            for value in message.values:
                self._hold(value.contained)
                for waiting in self.table.complete(
                    value.object_id, value.kind, value.data, value.size, value.nodes, value.contained, hold=False
                ):
                    waiting.notify(value.kind == ERROR, self.due)
            self.run_due()
        elif isinstance(message, BorrowersChanged):
            for object_id, borrower, count in message.changes:
                self.carry_out(self.table.borrowed(object_id, borrower, count))
            if message.ack:
                peer.send(BorrowersKnown(message.ack))
        elif isinstance(message, BorrowersKnown):
            self._acknowledged(message.ack)
        else:
            return False
        return True

    def _fetch(self, peer: Peer, object_ids: list[bytes]) -> None:
        ready: list[ObjectValue] = []
        for object_id in object_ids:
            entry = self.table.entries.get(object_id)
            if entry is None:
                ready.append(ObjectValue(object_id, LOST))
            elif entry.kind == PENDING:
                self._fetchers.setdefault(object_id, []).append(peer)
            else:
                ready.append(self._value(object_id, entry))
        if ready:
            peer.send(ObjectsReady(ready))

    def peer_gone(self, peer: Peer) -> None:
        """A process we talked to has ended: its borrows are void, its objects lost."""
        if peer.worker_id:
            self.carry_out(self.table.borrower_gone(peer.worker_id))
        for fetchers in self._fetchers.values():
            fetchers[:] = [item for item in fetchers if item is not peer]
        if peer.address:
            self.owner_gone(peer.address)


def _ignore(_: bytes) -> None:
    return


def _nothing() -> None:
    return
