"""The owner's side of streaming tasks: items arrive by message, a consumer takes them one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal._core.logic.ownership import PENDING
from shoal._core.process.object_ref import ObjectRef
from shoal._core.process.references import References
from shoal._core.process.waiting import CountWaiter
from shoal._core.schema.ids import COMPLETED_INDEX, object_id_of
from shoal._core.schema.messages import ERROR, INLINE, ObjectValue, TaskResult
from shoal._core.system.serialization import serialize
from shoal.exceptions import GetTimeoutError


class StreamState:
    """The items of one streaming task. Made under the client's lock. Object `index` of the task is item `index`."""

    def __init__(self, task_id: bytes, references: References, consumed: Callable[[bytes, int], None]) -> None:
        self._task_id = task_id
        self._references = references
        self._report_consumed = consumed
        self._arrived = 0
        self._taken = 0
        self._total: int | None = None
        """How many items there are, once the task has ended."""
        self._waiters: list[Any] = []
        self._closed = False
        self.completed_id = object_id_of(task_id, COMPLETED_INDEX)
        references.table.create(self.completed_id)
        self._completed_ref: ObjectRef[Any] = ObjectRef(self.completed_id, references)

    @property
    def task_id(self) -> bytes:
        return self._task_id

    # --- the producer's messages, under the client's lock ----------------------------------------------------------------

    def item_locked(self, index: int, value: ObjectValue) -> None:
        if index < self._arrived:
            return  # a retried producer repeats what it has sent
        self._arrived = index + 1
        entry = self._references.table.create(value.object_id)
        if self._closed:
            entry.local = 0
        self._references.complete_locked(
            value.object_id, value.kind, value.data, value.size, value.nodes, value.contained
        )
        self._wake_locked()

    def ended_locked(self, result: TaskResult) -> None:
        if result.kind == ERROR:
            self.failed_locked(result.data)
            self._references.complete_locked(self.completed_id, ERROR, result.data)
        else:
            self._total = self._arrived
            self._references.complete_locked(self.completed_id, INLINE, serialize(None).to_bytes())
            self._wake_locked()

    def failed_locked(self, error: bytes) -> None:
        """One last item raises the error."""
        object_id = object_id_of(self._task_id, self._arrived)
        self.item_locked(self._arrived, ObjectValue(object_id, ERROR, error))
        self._total = self._arrived
        self._wake_locked()

    def _wake_locked(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.notify(False)

    # --- the consumer ------------------------------------------------------------------------------------------------------

    def next_is_ready(self) -> bool:
        return self._taken < self._arrived or (self._total is not None and self._taken >= self._total)

    def is_finished(self) -> bool:
        return self._total is not None and self._taken >= self._total

    def await_locked(self, waiter: Any) -> None:
        self._waiters.append(waiter)

    def stop_waiting_locked(self, waiter: Any) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        while True:
            with self._references.lock:
                if self._taken < self._arrived:
                    return self._take_locked()
                if self._total is not None:
                    raise StopIteration
                waiter = CountWaiter(1)
                self._waiters.append(waiter)
            self._references.on_blocked()
            try:
                arrived = waiter.wait(timeout)
            finally:
                self._references.on_unblocked()
            if not arrived:
                with self._references.lock:
                    self.stop_waiting_locked(waiter)
                raise GetTimeoutError(f"the stream of task {self._task_id.hex()} gave no item within {timeout} s")

    def _take_locked(self) -> ObjectRef[Any]:
        object_id = object_id_of(self._task_id, self._taken)
        self._taken += 1
        # The entry was created with one local reference: this one.
        ref: ObjectRef[Any] = ObjectRef(object_id, self._references)
        if self._total is None:
            self._report_consumed(self._task_id, self._taken)
        return ref

    def on_next(self, callback: Callable[[], None]) -> None:
        from shoal._core.process.waiting import CallbackWaiter

        with self._references.lock:
            if not self.next_is_ready():
                self._waiters.append(CallbackWaiter(callback, self._references._run_soon))
                return
        self._references.run_callback(callback)

    def completed(self) -> ObjectRef[Any]:
        return self._completed_ref

    def close(self) -> None:
        """Items that nobody will take are let go; called when the generator object dies, from any thread."""
        if self._closed:
            return
        self._closed = True
        for index in range(self._taken, self._arrived):
            self._references.drop_ref(object_id_of(self._task_id, index))
        if self._total is None:
            self._report_consumed(self._task_id, -1)

    @property
    def pending(self) -> bool:
        return self._references.table.entries[self.completed_id].kind == PENDING
