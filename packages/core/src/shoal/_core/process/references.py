"""The client's objects: references counted, values fetched and waited for, borrows kept honest.

Decisions are `logic/ownership.py`'s; this is the shell that feeds it and carries its effects out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shoal._core.logic.ownership import PENDING, Entry, Freed, Ownership
from shoal._core.process.borrows import Borrows
from shoal._core.process.call_sites import CallSites
from shoal._core.process.deadlocks import own_later_call, own_result
from shoal._core.process.node_link import NodeLink
from shoal._core.process.object_ref import ObjectRef
from shoal._core.process.peers import Peer, Peers
from shoal._core.process.waiting import CallbackWaiter, CountWaiter, Waiter
from shoal._core.schema.ids import HANDLE_SUFFIX, TASK_ID_SIZE, task_of
from shoal._core.schema.messages import (
    ERROR,
    INLINE,
    LOST,
    STORED,
    BorrowersChanged,
    BorrowersKnown,
    FetchObjects,
    FreeObjects,
    ObjectsReady,
    ObjectValue,
)
from shoal._core.system.event_loop import EventLoop
from shoal._core.system.serialization import Serialized, deserialize, serialize
from shoal._core.system.task_errors import dump_error, load_error
from shoal._core.system.transport import ConnectionClosed
from shoal.exceptions import (
    GetTimeoutError,
    LocalDaemonDiedError,
    ObjectFreedError,
    OwnerDiedError,
    SessionEndedError,
)

INLINE_LIMIT = 100 * 1024
"""Values up to so many bytes travel in messages and live with their owner; larger ones go to the store."""

RefLike = Any


class References:
    """All that a client knows of objects. `lock` is the client's one lock; methods ending in `_locked` need it held."""

    def __init__(self, worker_id: bytes, node: NodeLink, peers: Peers, loop: EventLoop, node_id: bytes) -> None:
        self.lock = threading.Lock()
        self.table = Ownership(worker_id)
        self._worker_id = worker_id
        self._node = node
        self._node_id = node_id
        self._peers = peers
        self._loop = loop
        self._dropped: deque[bytes] = deque()
        self._drop_scheduled = False
        self._due: list[Callable[[], None]] = []
        self._fetchers: dict[bytes, list[tuple[Peer, bytes]]] = {}
        self.borrows = Borrows(worker_id, self.table, peers, node, self.carry_out_locked)
        self.call_sites = CallSites.of_environment()
        self._borrowed_here = threading.local()
        self.on_actor_unheld: Callable[[bytes], None] = _ignore
        self.sequential_actor_id = b""
        """The actor that this process is, where it does one call at a time."""
        self.current_task: Callable[[], bytes] = bytes
        """The id of the task that the calling thread runs."""
        self.on_freed: Callable[[], None] = _ignore_blocked
        """Something is not referred to any more. Called under the lock."""
        self.on_awaited: Callable[[], None] = _ignore_blocked
        """Somebody begins to wait without blocking the thread."""
        self.on_blocked: Callable[[], None] = _ignore_blocked
        self.on_unblocked: Callable[[], None] = _ignore_blocked
        self.run_callback: Callable[[Callable[[], None]], None] = _run_now
        self.ended: str | None = None
        self._daemon_died = False
        self.patience = float(threading.TIMEOUT_MAX)
        """A wait of more seconds is explained (`on_long_wait`)."""
        self.on_long_wait: Callable[[list[bytes], float], None] = _ignore_wait

    # --- references ----------------------------------------------------------------------------------------------------------

    def drop_ref(self, object_id: bytes) -> None:
        """An ObjectRef of this client died (see `RefHome.drop_ref`)."""
        if self.ended is not None:
            return
        if self.lock.acquire(False):
            try:
                entry = self.table.entries.get(object_id)
                if entry is not None and entry.local > 1:
                    entry.local -= 1
                    return
                self._dropped.append(object_id)
                self.drain_dropped_locked()
            finally:
                self.lock.release()
            return
        self._dropped.append(object_id)
        if not self._drop_scheduled:
            self._drop_scheduled = True
            self._loop.call_soon(self._drain_dropped)

    def _drain_dropped(self) -> None:
        self._drop_scheduled = False
        with self.lock:
            self.drain_dropped_locked()

    def drain_dropped_locked(self) -> None:
        dropped = self._dropped
        while dropped:
            ids = [dropped.popleft() for _ in range(len(dropped))]
            freed = self.table.drop_local(ids)
            if freed:
                self.carry_out_locked(freed)

    def carry_out_locked(self, freed: list[Freed]) -> None:
        """Tells others what is not needed any more."""
        stored: list[bytes] = []
        for item in freed:
            if item.owner_address:
                if item.count:
                    self.borrows.tell(item.owner_address, item.object_id, self._worker_id, -item.count)
            else:
                self.call_sites.freed(item.object_id)
                if item.nodes:
                    stored.append(item.object_id)
                elif item.object_id[TASK_ID_SIZE:] == HANDLE_SUFFIX:
                    self.on_actor_unheld(item.object_id)
        if stored:
            self._node.send(FreeObjects(stored))
        self.on_freed()

    def borrow_ref(self, object_id: bytes, owner_address: str) -> ObjectRef[Any]:
        """Makes an ObjectRef for a reference that arrived in pickled data."""
        with self.lock:
            entry = self.table.entries.get(object_id)
            if entry is None:
                self.table.refer(object_id, owner_address)
            else:
                entry.local += 1
        arrived = getattr(self._borrowed_here, "ids", None)
        if arrived is not None:
            arrived.append(object_id)
        return ObjectRef(object_id, self)

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        entry = self.table.entries.get(object_id)
        return object_id, (entry.owner_address if entry is not None else "") or self._peers.address

    def deserialize_noting(self, data: Any) -> tuple[Any, list[bytes]]:
        """Returns the value and the references that were made inside it."""
        local = self._borrowed_here
        outer = getattr(local, "ids", None)
        ids: list[bytes] = []
        local.ids = ids
        try:
            value = deserialize(data)
        finally:
            local.ids = outer
        if outer is not None:
            outer.extend(ids)
        return value, ids

    def contained_in(self, value: Serialized) -> list[tuple[bytes, str]]:
        """Returns id and owner address of each reference inside a serialized value."""
        self.check_ours(value.refs)
        return [self.ref_parts(ref.binary()) for ref in value.refs]

    # --- values come -----------------------------------------------------------------------------------------------------------

    def complete_locked(
        self,
        object_id: bytes,
        kind: int,
        data: Any,
        size: int = 0,
        nodes: list[bytes] | None = None,
        contained: list[tuple[bytes, str]] | None = None,
    ) -> None:
        """An object got its value or error: wakes all that wait for it."""
        waiters = self.table.complete(object_id, kind, data, size, nodes or [], contained or [])
        for waiter in waiters:
            waiter.notify(kind == ERROR)
        entry = self.table.entries.get(object_id)
        if entry is not None and entry.local <= 0:
            self.carry_out_locked(self.table.discard_if_unneeded(object_id))
        fetchers = self._fetchers.pop(object_id, None)
        if fetchers is not None and entry is not None:
            for peer, _ in fetchers:
                peer.send(ObjectsReady([self._value_for_locked(object_id, entry)]))

    def fail_locked(self, object_id: bytes, error: BaseException) -> None:
        self.complete_locked(object_id, ERROR, dump_error(error))

    def run_due(self) -> None:
        """Runs callbacks that came due under the lock; call it after releasing."""
        while True:
            try:
                callback = self._due.pop()
            except IndexError:  # Another thread may have taken the last one.
                return
            callback()

    def value_locked(self, object_id: bytes) -> ObjectValue:
        """A completed object in wire form."""
        return self._value_for_locked(object_id, self.table.entries[object_id])

    def _value_for_locked(self, object_id: bytes, entry: Entry) -> ObjectValue:
        contained = [self.ref_parts(inner_id) for inner_id in entry.contained]
        return ObjectValue(
            object_id, entry.kind, entry.data if entry.kind != STORED else b"", entry.size, entry.nodes, contained
        )

    # --- waiting -----------------------------------------------------------------------------------------------------------------

    def entry_of(self, ref: ObjectRef[Any]) -> Entry:
        if ref._home is not self:
            raise SessionEndedError(f"{ref!r} belongs to a shoal session that has ended; its value is gone")
        return self.table.entries[ref._id]

    def check_ours(self, refs: Iterable[Any]) -> None:
        """Raises SessionEndedError where one of these references and actor handles is of another session."""
        for ref in refs:
            if (ref._home if type(ref) is ObjectRef else ref._references) is not self:
                raise SessionEndedError(f"{ref!r} belongs to a shoal session that has ended; it cannot be passed on")

    def await_locked(self, object_id: bytes, entry: Entry, waiter: Any) -> None:
        """Registers somebody who waits for a pending object; asks its owner for it where that is another process."""
        if entry.waiters is None:
            entry.waiters = [waiter]
        else:
            entry.waiters.append(waiter)
        if entry.owner_address and not entry.fetching:
            entry.fetching = True
            try:
                peer = self._peers.connect_to(entry.owner_address)
                sent = peer.send(FetchObjects([object_id], self.current_task()))
            except ConnectionClosed:
                sent = False
            if not sent:
                owner = entry.owner_address
                self._loop.call_soon(lambda: self.owner_gone(owner))

    def owner_gone(self, address: str) -> None:
        """A process that owns objects has died: what we still wait for from it will never come."""
        with self.lock:
            self.borrows.owner_gone(address)
            lost = [
                object_id
                for object_id, entry in self.table.entries.items()
                if entry.owner_address == address and entry.kind == PENDING
            ]
            for object_id in lost:
                self.fail_locked(object_id, OwnerDiedError(object_id.hex(), address))
        self.run_due()

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        waiter: Waiter | None = None
        entries = [self.entry_of(ref) for ref in refs]
        for entry in entries:
            if entry.kind == PENDING:
                waiter = self._wait_for_all(refs, entries, timeout)
                break
        if waiter is not None and waiter.failed:
            for entry in entries:
                if entry.kind == ERROR:
                    raise load_error(entry.data)
        return [self._load(ref, entry) for ref, entry in zip(refs, entries, strict=True)]

    def _wait_for_all(self, refs: Sequence[ObjectRef[Any]], entries: list[Entry], timeout: float | None) -> Waiter:
        waiter = Waiter(0)
        with self.lock:
            for ref, entry in zip(refs, entries, strict=True):
                if entry.kind == PENDING:
                    waiter.remaining += 1
                    self.await_locked(ref._id, entry, waiter)
                elif entry.kind == ERROR:
                    waiter.failed = True
            if waiter.failed or waiter.remaining == 0:
                self._stop_waiting_locked(waiter, entries)
                return waiter
            if self.ended is not None:
                raise self.end_error()
            self._check_not_own_calls_locked(waiter, refs, entries)
        object_ids = [ref._id for ref in refs]
        self._block(waiter, entries, object_ids, timeout, lambda: self._timeout_text(refs, entries, timeout))
        return waiter

    def _check_not_own_calls_locked(self, waiter: Waiter, refs: Sequence[ObjectRef[Any]], entries: list[Entry]) -> None:
        """Raises DeadlockError where an actor that does one call at a time waits, in a call, for a later one."""
        if not self.sequential_actor_id or not self.current_task():
            return
        for ref, entry in zip(refs, entries, strict=True):
            if entry.kind == PENDING and entry.task is not None and entry.task.actor_id == self.sequential_actor_id:
                self._stop_waiting_locked(waiter, entries)
                raise own_later_call(entry.task.name, ref.hex())

    def _block(
        self,
        waiter: Waiter,
        entries: list[Entry],
        object_ids: list[bytes],
        timeout: float | None,
        timeout_text: Callable[[], str] | None,
    ) -> None:
        """Waits; on a time-out or an interruption the waiter is taken off all entries."""
        if timeout is not None and timeout <= 0:
            arrived = waiter.wait(0)
        else:
            self.on_blocked()
            try:
                arrived = self._wait_and_explain(waiter, object_ids, timeout)
            except BaseException:
                with self.lock:
                    self._stop_waiting_locked(waiter, entries)
                raise
            finally:
                self.on_unblocked()
        if not arrived:
            with self.lock:
                self._stop_waiting_locked(waiter, entries)
            if timeout_text is not None:
                raise GetTimeoutError(timeout_text())

    def _wait_and_explain(self, waiter: Waiter, object_ids: list[bytes], timeout: float | None) -> bool:
        """Waits; a wait that takes long is explained to the user, each time it has taken ten times longer."""
        waited = 0.0
        patience = self.patience
        while timeout is None or timeout > waited + patience:
            if waiter.wait(patience):
                return True
            waited += patience
            self.on_long_wait(object_ids, waited)
            patience = waited * 9
        return waiter.wait(max(0.0, timeout - waited))

    def _stop_waiting_locked(self, waiter: Waiter, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.waiters is not None and waiter in entry.waiters:
                entry.waiters.remove(waiter)

    def _timeout_text(self, refs: Sequence[ObjectRef[Any]], entries: list[Entry], timeout: float | None) -> str:
        missing = [ref for ref, entry in zip(refs, entries, strict=True) if entry.kind == PENDING]
        return (
            f"{len(missing)} of {len(refs)} objects were not ready after {timeout} s; the first of them is {missing[0]!r}"
            if missing
            else (f"the objects were not ready after {timeout} s")
        )

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        entry = self.entry_of(ref)
        if entry.kind == INLINE:
            return self._load(ref, entry)
        return self.get([ref], timeout)[0]

    def _load(self, ref: ObjectRef[Any], entry: Entry) -> Any:
        kind = entry.kind
        if kind == INLINE:
            if entry.carries_refs:
                return self._load_container(ref, entry, entry.data)
            return deserialize(entry.data)
        if kind == STORED:
            view = self._node.open(ref._id, entry.nodes)
            if entry.carries_refs:
                return self._load_container(ref, entry, view)
            return deserialize(view)
        if kind == ERROR:
            raise load_error(entry.data)
        raise ObjectFreedError(
            ref._id.hex(),
            reason="its owner has freed it; a reference that was pickled out of band does not keep it alive",
        )

    def _load_container(self, ref: ObjectRef[Any], entry: Entry, data: Any) -> Any:
        value, arrived = self.deserialize_noting(data)
        if entry.owner_address and arrived:
            with self.lock:
                self.borrows.came_inside(ref._id, arrived)
        return value

    def wait(self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None) -> list[int]:
        """Returns the positions of those that are ready, at most num_returns."""
        ready = self._ready_positions(refs, num_returns)
        if len(ready) < num_returns and (timeout is None or timeout > 0):
            entries = [self.entry_of(ref) for ref in refs]
            waiter = CountWaiter(0)
            pending: list[Entry] = []
            with self.lock:
                ready = self._ready_positions(refs, num_returns)
                if len(ready) < num_returns:
                    waiter.remaining = num_returns - len(ready)
                    for ref, entry in zip(refs, entries, strict=True):
                        if entry.kind == PENDING:
                            pending.append(entry)
                            self.await_locked(ref._id, entry, waiter)
            if pending:
                self._block(waiter, pending, [ref._id for ref in refs], timeout, None)
                with self.lock:
                    self._stop_waiting_locked(waiter, pending)
                ready = self._ready_positions(refs, num_returns)
        return ready

    def _ready_positions(self, refs: Sequence[ObjectRef[Any]], limit: int) -> list[int]:
        positions = []
        for position, ref in enumerate(refs):
            if self.entry_of(ref).kind != PENDING:
                positions.append(position)
                if len(positions) == limit:
                    break
        return positions

    def on_ready(
        self,
        ref: ObjectRef[Any],
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        entry = self.entry_of(ref)
        if soon is None:
            self.on_awaited()
        else:
            # Other coroutines of the caller's loop may have calls for the same frame.
            soon(self.on_awaited)
        with self.lock:
            if entry.kind == PENDING:
                run = self._due.append if is_brief else self._run_soon
                self.await_locked(ref._id, entry, CallbackWaiter(callback, run))
                return
        if is_brief:
            callback()
        else:
            self.run_callback(callback)

    def _run_soon(self, callback: Callable[[], None]) -> None:
        self._due.append(lambda: self.run_callback(callback))

    def call_when_ready_locked(self, object_id: bytes, entry: Entry, callback: Callable[[], None]) -> None:
        """For the client itself: `callback` runs on the loop's thread, outside the lock."""
        self.await_locked(object_id, entry, CallbackWaiter(callback, self._due.append))

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None:
        """Frees values by hand, whoever still holds references: getting them raises ObjectFreedError."""
        with self.lock:
            for ref in refs:
                entry = self.entry_of(ref)
                if entry.kind in (INLINE, STORED) and not entry.owner_address:
                    if entry.kind == STORED:
                        self._node.send(FreeObjects([ref._id]))
                    entry.kind, entry.data, entry.nodes = LOST, b"", []

    def complete_answer_locked(self, object_id: bytes, answer: Any, data: bytes) -> None:
        """Completes an object of this process when the daemon has answered: with `data`, or the answer's error."""
        if answer.error:
            self.complete_locked(object_id, ERROR, answer.error)
        else:
            self.complete_locked(object_id, INLINE, data, len(data))

    def needed_by_others(self) -> bool:
        """Whether this process owns anything that somebody still refers to."""
        with self.lock:
            self.drain_dropped_locked()
            return self.needed_by_others_locked()

    def needed_by_others_locked(self) -> bool:
        return any(
            not entry.owner_address and (entry.local > 0 or entry.uses > 0 or entry.borrowers is not None)
            for entry in self.table.entries.values()
        )

    # --- the end of things -----------------------------------------------------------------------------------------------------

    def end_error(self) -> LocalDaemonDiedError | SessionEndedError:
        """What those hear who ask for something after the end."""
        reason = self.ended or ""
        return LocalDaemonDiedError(reason) if self._daemon_died else SessionEndedError(reason)

    def daemon_gone(self, reason: str) -> None:
        """The node's daemon died: nothing that is pending will come."""
        with self.lock:
            self.ended = reason
            self._daemon_died = True
            for object_id, entry in list(self.table.entries.items()):
                if entry.kind == PENDING:
                    self.fail_locked(object_id, LocalDaemonDiedError(reason))
        self.run_due()

    def end(self, reason: str) -> None:
        """The session ends here: waiting threads are woken with an error, references are void."""
        with self.lock:
            self.ended = reason
            for object_id, entry in list(self.table.entries.items()):
                if entry.kind == PENDING:
                    for waiter in self.table.complete(
                        object_id, ERROR, dump_error(SessionEndedError(reason)), 0, [], []
                    ):
                        waiter.notify(True)
        self.run_due()

    def void(self, reason: str) -> None:
        """Nothing of this may be used any more (in a forked child: whoever held the lock is not here)."""
        self.ended = reason
        self.lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """One row an object, in the keys of `shoal.util.state.ObjectState`."""
        import os

        rows = []
        with self.lock:
            for object_id, entry in self.table.entries.items():
                if object_id[TASK_ID_SIZE:] == HANDLE_SUFFIX:
                    reference_type = "ACTOR_HANDLE"
                elif entry.uses:
                    reference_type = "USED_BY_PENDING_TASK"
                elif entry.borrowers:
                    reference_type = "CAPTURED_IN_OBJECT"
                else:
                    reference_type = "LOCAL_REFERENCE"
                rows.append(
                    {
                        "object_id": object_id.hex(),
                        "object_size": entry.size,
                        "task_status": "PENDING" if entry.kind == PENDING else "FINISHED",
                        "attempt_number": 0,
                        "reference_type": reference_type,
                        "call_site": self.call_sites.of(object_id),
                        "type": "DRIVER",
                        "pid": os.getpid(),
                        "ip": "127.0.0.1",
                        "is_owner": not entry.owner_address,
                        "local_references": entry.local,
                    }
                )
        return rows

    # --- put -----------------------------------------------------------------------------------------------------------------------

    def put(self, object_id: bytes, value: Any) -> ObjectRef[Any]:
        return self.put_serialized(object_id, serialize(value))

    def put_serialized(self, object_id: bytes, serialized: Serialized) -> ObjectRef[Any]:
        contained = self.contained_in(serialized) if serialized.refs else []
        if serialized.size <= INLINE_LIMIT:
            kind, data, nodes = INLINE, serialized.to_bytes(), []
        else:
            self._node.store(object_id, serialized)
            kind, data, nodes = STORED, b"", [self._node_id]
        with self.lock:
            self.table.create(object_id)
            self.call_sites.made(object_id)
            self.table.complete(object_id, kind, data, serialized.size, nodes, contained, counted=False)
        return ObjectRef(object_id, self)

    # --- what peers say --------------------------------------------------------------------------------------------------------------

    def handle(self, peer: Peer, message: Any) -> bool:
        """Takes a peer's message about objects, on the loop's thread. Returns False for all others."""
        kind = type(message)
        if kind is FetchObjects:
            self._fetch(peer, message.object_ids, message.asked_by)
        elif kind is ObjectsReady:
            with self.lock:
                for value in message.values:
                    self._arrived_locked(value)
            self.run_due()
        elif kind is BorrowersChanged:
            with self.lock:
                for object_id, borrower, count in message.changes:
                    self.carry_out_locked(self.table.borrowed(object_id, borrower, count))
            if message.ack:
                peer.send(BorrowersKnown(message.ack))
        elif kind is BorrowersKnown:
            with self.lock:
                self.borrows.acknowledged(message.ack)
        else:
            return False
        return True

    def _fetch(self, peer: Peer, object_ids: list[bytes], asked_by: bytes) -> None:
        ready: list[ObjectValue] = []
        with self.lock:
            for object_id in object_ids:
                entry = self.table.entries.get(object_id)
                if entry is None:
                    ready.append(ObjectValue(object_id, LOST))
                elif entry.kind == PENDING and task_of(object_id) == asked_by:
                    ready.append(ObjectValue(object_id, ERROR, dump_error(own_result(object_id))))
                elif entry.kind == PENDING:
                    self._fetchers.setdefault(object_id, []).append((peer, object_id))
                else:
                    ready.append(self._value_for_locked(object_id, entry))
        if ready:
            peer.send(ObjectsReady(ready))

    def _arrived_locked(self, value: ObjectValue) -> None:
        """A borrowed object's value came from its owner."""
        waiters = self.table.complete(
            value.object_id, value.kind, value.data, value.size, value.nodes, value.contained, hold=False
        )
        for waiter in waiters:
            waiter.notify(value.kind == ERROR)

    def borrower_gone(self, worker_id: bytes) -> None:
        """A process has ended: it needs nothing any more."""
        with self.lock:
            self.carry_out_locked(self.table.borrower_gone(worker_id))

    def peer_gone(self, peer: Peer) -> None:
        """A process we talked to has ended: its borrows are void, its objects lost."""
        if peer.worker_id:
            self.borrower_gone(peer.worker_id)
        with self.lock:
            for fetchers in self._fetchers.values():
                fetchers[:] = [item for item in fetchers if item[0] is not peer]
        if peer.address:
            self.owner_gone(peer.address)


def _ignore(_: Any) -> None:
    return


def _ignore_blocked() -> None:
    return


def _ignore_wait(object_ids: list[bytes], seconds: float) -> None:
    return


def _run_now(callback: Callable[[], None]) -> None:
    callback()
