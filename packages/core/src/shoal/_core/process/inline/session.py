"""What an inline session is made of: the turns, the objects, and how threads wait for them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shoal._core.process.inline.admission import Admission
from shoal._core.process.inline.objects import ERROR, PENDING, VALUE, ObjectTable, Waiter
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.seat import Abandoned, Seat
from shoal._core.process.inline.turns import Turns
from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.ids import TaskIds, object_id_of
from shoal._core.system.serialization import deserialize, serialize
from shoal._core.system.task_errors import dump_error, load_error
from shoal.exceptions import GetTimeoutError, ObjectFreedError, SessionEndedError

if TYPE_CHECKING:
    from shoal._core.process.inline.admission import Grant
    from shoal._core.process.inline.streams import InlineStream

ENDED = "this shoal session has ended: its tasks, actors and objects are gone; shoal.init() begins another"


class InlineSession:
    """The objects of a session, and the threads that use them (also the `RefHome` of its references).

    Args:
        turns: whose turn it is.
        admission: the resources, for threads that lend theirs while they wait.
        worker_id: of this process.
        on_unheld: called with the handle's object id when no handle of an actor is left.
        describe: says for people what an object is.
    """

    def __init__(
        self,
        turns: Turns,
        admission: Admission,
        worker_id: bytes,
        on_unheld: Callable[[bytes], None],
        describe: Callable[[bytes], str],
    ) -> None:
        self.turns = turns
        self.admission = admission
        self.objects = ObjectTable(on_unheld)
        self.task_ids = TaskIds(worker_id)
        self.pid = os.getpid()
        self.ended = False
        self._describe = describe
        self._dropped: deque[bytes | Callable[[], None]] = deque()
        self._here = threading.local()
        self._here.seat = turns.driver
        turns.on_leave = self._drain

    # --- threads ----------------------------------------------------------------------------------------------------------------

    def sit(self, seat: Seat) -> None:
        """The calling thread is the one of `seat`."""
        self._here.seat = seat

    def seat(self) -> Seat:
        """The calling thread's; threads of the user's get one here."""
        seat: Seat | None = getattr(self._here, "seat", None)
        if seat is None:
            seat = self._here.seat = Seat(threading.current_thread().name, bound=False, is_user=True)
        seat.polls = False
        return seat

    def let_others_run(self) -> None:
        """For questions that are asked again and again: gives the turn away once."""
        seat = self.seat()
        if seat.bound:
            self.turns.turn(seat)

    def poll(self) -> None:
        """For questions about the caller itself: those who ask twice without doing anything else wait for the answer to change."""
        seat: Seat | None = getattr(self._here, "seat", None)
        if seat is None or seat.is_user:
            return
        if seat.polls:
            self.let_others_run()
        seat.polls = True

    def leave_for_loop(self, callback: Callable[[], None]) -> Callable[[], None]:
        """The caller goes back to an event loop of its own, which must not keep others from running. Inside of `with turns:`.

        Returns what to call, inside of `with turns:`, when `callback` shall run.
        """
        seat = self.seat()
        turns = self.turns
        is_watched = seat.has_loop or (not seat.bound and not seat.callbacks)
        if is_watched:
            return lambda: turns.call_soon(callback)
        seat.callbacks += 1
        seat.bound = False
        turns.let_stray(seat)

        def called() -> None:
            seat.callbacks -= 1
            if seat.callbacks == 0:
                seat.bound = True
            turns.call_soon(callback)

        return called

    # --- references -------------------------------------------------------------------------------------------------------------

    def drop_ref(self, object_id: bytes) -> None:
        self.run_later(object_id)

    def run_later(self, item: bytes | Callable[[], None]) -> None:
        """Lets a reference go, or calls something, inside of `with turns:`, now or soon. From any thread at any moment, also from
        inside the collector."""
        self._dropped.append(item)
        if self.turns.try_enter():
            try:
                self._drain()
            finally:
                self.turns.leave_quietly()

    def _drain(self) -> None:
        dropped = self._dropped
        while dropped:
            item = dropped.popleft()
            if isinstance(item, bytes):
                self.objects.release((item,))
            else:
                item()

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        return object_id, "inline"

    def borrow_ref(self, object_id: bytes, owner_address: str) -> ObjectRef[Any]:
        """Makes a reference that arrived in pickled data."""
        with self.turns:
            self.objects.borrow(object_id)
        return ObjectRef(object_id, self)

    def on_ready(
        self,
        ref: ObjectRef[Any],
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        object_id = self.id_of(ref)
        with self.turns:
            entry = self.objects.entries[object_id]
            if entry.kind == PENDING:
                entry.waiters.append(Waiter(1, self.leave_for_loop(callback)))
            else:
                self.turns.call_soon(callback)

    def id_of(self, ref: ObjectRef[Any]) -> bytes:
        """Raises SessionEndedError for a reference of another session."""
        if ref._home is not self:
            raise SessionEndedError(f"{ref!r} belongs to a shoal session that has ended; its value is gone")
        return ref.binary()

    def check_not_ended(self) -> None:
        """Raises SessionEndedError; Abandoned where nobody wants the calling code to go on."""
        if self.ended:
            raise SessionEndedError(ENDED)
        if self.seat().is_abandoned:
            raise Abandoned

    # --- values -----------------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        self.check_not_ended()
        serialized = serialize(value)
        object_id = object_id_of(self.task_ids.next(), 0)
        self.put_data(object_id, serialized.to_bytes(), [ref.binary() for ref in serialized.refs])
        return ObjectRef(object_id, self)

    def put_data(self, object_id: bytes, data: bytes, contained: list[bytes]) -> None:
        """A new object with its value; it has one hold, for the reference that the caller makes."""
        with self.turns:
            self.objects.create(object_id, holds=1)
            self.objects.complete(object_id, VALUE, data, contained)

    def new_object(self) -> ObjectRef[Any]:
        """A new object without a value yet, and a reference to it. Inside of `with turns:`."""
        object_id = object_id_of(self.task_ids.next(), 0)
        self.objects.create(object_id, holds=1)
        return ObjectRef(object_id, self)

    def complete(self, object_id: bytes, value: Any, error: BaseException | None) -> None:
        """Gives a `new_object` its value or error. Inside of `with turns:`."""
        if error is not None:
            self.objects.complete(object_id, ERROR, dump_error(error))
        else:
            self.objects.complete(object_id, VALUE, serialize(value).to_bytes())

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        return self.get((ref,), timeout)[0]

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        object_ids = [self.id_of(ref) for ref in refs]
        objects = self.objects
        if timeout == 0:
            self.let_others_run()
        with self.turns:
            pending = [] if objects.error_among(object_ids) else objects.pending_among(dict.fromkeys(object_ids))
        if pending:
            in_time = timeout != 0 and self._wait_for_objects(pending, len(pending), timeout, at_error=True)
            with self.turns:
                pending = objects.pending_among(pending)
            if not in_time and pending and not objects.error_among(object_ids):
                raise GetTimeoutError(
                    f"{len(pending)} of {len(refs)} objects were not ready after {timeout} s: "
                    f"{self._describe(pending[0])}{', ...' if len(pending) > 1 else ''}"
                )
        return self._values(object_ids)

    def _values(self, object_ids: list[bytes]) -> list[Any]:
        with self.turns:
            error = self.objects.error_among(object_ids)
            entries = [self.objects.entries[object_id] for object_id in object_ids]
        if error:
            raise load_error(error)
        values = []
        for object_id, entry in zip(object_ids, entries, strict=True):
            if entry.kind != VALUE:
                raise ObjectFreedError(object_id.hex())
            values.append(deserialize(entry.data))
        return values

    def values_of(self, object_ids: Iterable[bytes]) -> list[bytes]:
        """The serialized values of objects that are there. Raises ObjectFreedError."""
        data = []
        for object_id in object_ids:
            entry = self.objects.entries[object_id]
            if entry.kind != VALUE:
                raise ObjectFreedError(object_id.hex())
            data.append(entry.data)
        return data

    def wait(self, refs: Sequence[ObjectRef[Any] | InlineStream], num_returns: int, timeout: float | None) -> list[int]:
        object_ids: dict[int, bytes] = {}
        streams: dict[int, InlineStream] = {}
        for position, ref in enumerate(refs):
            if isinstance(ref, ObjectRef):
                object_ids[position] = self.id_of(ref)
            else:
                streams[position] = ref
        if timeout == 0:
            self.let_others_run()
        ready = self._ready_positions(object_ids, streams)
        if len(ready) < num_returns and timeout != 0:
            pending = [object_id for position, object_id in object_ids.items() if position not in ready]
            waited = [stream for position, stream in streams.items() if position not in ready]
            self._wait_for_objects(pending, num_returns - len(ready), timeout, streams=waited)
            ready = self._ready_positions(object_ids, streams)
        return ready[:num_returns]

    def _ready_positions(self, object_ids: dict[int, bytes], streams: dict[int, InlineStream]) -> list[int]:
        with self.turns:
            entries = self.objects.entries
            ready = [position for position, object_id in object_ids.items() if entries[object_id].kind != PENDING]
            ready += [position for position, stream in streams.items() if stream.has_next]
        return sorted(ready)

    def wait_for_stream(self, stream: InlineStream, timeout: float | None) -> bool:
        """Waits for the next item. Returns False after `timeout` seconds."""
        return self._wait_for_objects([], 1, timeout, streams=[stream])

    # --- waiting ----------------------------------------------------------------------------------------------------------------

    def _wait_for_objects(
        self,
        object_ids: list[bytes],
        count: int,
        timeout: float | None,
        *,
        at_error: bool = False,
        streams: Sequence[InlineStream] = (),
    ) -> bool:
        """Waits until so many of these are ready. Returns False after `timeout` seconds."""
        objects = self.objects

        def waits_for() -> str:
            things = [stream.describe() for stream in streams] + [self._describe(object_id) for object_id in object_ids]
            return " and ".join(things[:3]) + (f" and {len(things) - 3} more" if len(things) > 3 else "")

        def register(waiter: Waiter) -> None:
            for object_id in object_ids:
                entry = objects.entries[object_id]
                if entry.kind == PENDING:
                    entry.waiters.append(waiter)
                else:
                    waiter.notify(failed=entry.kind == ERROR)
            for stream in streams:
                if stream.has_next:
                    waiter.notify(failed=False)
                else:
                    stream.add_waiter(waiter)

        def unregister(waiter: Waiter) -> None:
            objects.stop_waiting(object_ids, waiter)
            for stream in streams:
                stream.remove_waiter(waiter)

        return self.block(register, unregister, waits_for, timeout, count, at_error=at_error)

    def block(
        self,
        register: Callable[[Waiter], None],
        unregister: Callable[[Waiter], None],
        waits_for: Callable[[], str],
        timeout: float | None,
        count: int = 1,
        *,
        at_error: bool = False,
    ) -> bool:
        """Blocks the caller until a waiter has counted down; lends its CPUs meanwhile.

        Args:
            register, unregister: called inside of `with turns:`.
            waits_for: says what it waits for.
            timeout: seconds; None for no limit.
            count: what the waiter counts down from.
            at_error: whether one error is enough.

        Returns:
            False after `timeout` seconds.
        """
        self.check_not_ended()
        seat = self.seat()
        turns = self.turns
        waiter = Waiter(count, lambda: turns.wake(seat), at_error=at_error)
        grant = self._grant_of_caller()
        try:
            with turns:
                turns.begin_wait(seat, waits_for, timed=timeout is not None)
                register(waiter)
                if grant is not None:
                    self.admission.block(grant)
            return turns.wait(seat, timeout)
        except BaseException:
            turns.stop_waiting(seat)  # Ctrl-C may come before the wait proper
            raise
        finally:
            with turns:
                unregister(waiter)
                if grant is not None:
                    self.admission.unblock(grant)

    def _grant_of_caller(self) -> Grant | None:
        call = current_call.get()
        return call.grant if call is not None else None
