"""Streaming calls: items become objects as the generator yields them, and a consumer takes one reference after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._core.process.inline.objects import ERROR, VALUE, Waiter
from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.ids import COMPLETED_INDEX, object_id_of
from shoal._core.system.serialization import serialize
from shoal.exceptions import GetTimeoutError

if TYPE_CHECKING:
    from shoal._core.process.inline.session import InlineSession

_NOTHING = serialize(None).to_bytes()


class InlineStream:
    """The items of one streaming call (see `api/engine.Stream`)."""

    def __init__(self, session: InlineSession, task_id: bytes, name: str, backpressure: int) -> None:
        self.task_id = task_id
        self._session = session
        self._name = name
        self._backpressure = backpressure
        self._made = 0
        self._taken = 0
        self._has_ended = False
        self._is_closed = False
        self._waiters: list[Waiter] = []
        self._producer: Callable[[], None] | None = None
        self._completed_id = object_id_of(task_id, COMPLETED_INDEX)
        session.objects.create(self._completed_id, holds=1)
        self._completed: ObjectRef[Any] = ObjectRef(self._completed_id, session)

    # --- the producer, inside of `with turns:` -----------------------------------------------------------------------------------

    def add(self, index: int, data: bytes, contained: list[bytes], kind: int = VALUE) -> None:
        """The next item. A producer that was tried again repeats those that are there."""
        if index < self._made:
            return
        self._made = index + 1
        if not self._is_closed:
            object_id = object_id_of(self.task_id, index)
            self._session.objects.create(object_id, holds=1)
            self._session.objects.complete(object_id, kind, data, contained)
        self._notify()

    def end(self, error: bytes) -> None:
        """No more items come; `error` is one last item, if there is one."""
        if self._has_ended:
            return
        objects = self._session.objects
        if error:
            self.add(self._made, error, [], ERROR)
            objects.complete(self._completed_id, ERROR, error)
        else:
            objects.complete(self._completed_id, VALUE, _NOTHING)
        self._has_ended = True
        self._notify()

    def must_wait(self, produced: int) -> bool:
        """Whether the producer has to wait for the consumer before it makes more."""
        return 0 < self._backpressure <= produced - self._taken and not self._is_closed

    def when_taken(self, callback: Callable[[], None]) -> None:
        """Calls back once, when the consumer has taken an item or is gone."""
        self._producer = callback

    @property
    def is_closed(self) -> bool:
        """Nobody will take more items."""
        return self._is_closed

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.notify(failed=False)

    def _tell_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer()

    # --- the consumer --------------------------------------------------------------------------------------------------------------

    def next_is_ready(self) -> bool:
        self._session.let_others_run()
        return self.has_next

    @property
    def has_next(self) -> bool:
        return self._taken < self._made or self._has_ended

    def is_finished(self) -> bool:
        return self._has_ended and self._taken >= self._made

    def completed(self) -> ObjectRef[Any]:
        return self._completed

    def add_waiter(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)

    def remove_waiter(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        session = self._session
        if not self.has_next and not session.wait_for_stream(self, timeout):
            raise GetTimeoutError(f"{self.describe()} was not ready after {timeout} s")
        with session.turns:
            if self._taken >= self._made:
                raise StopIteration
            # The item was made with one hold: that of this reference.
            ref: ObjectRef[Any] = ObjectRef(object_id_of(self.task_id, self._taken), session)
            self._taken += 1
            self._tell_producer()
        return ref

    def on_next(self, callback: Callable[[], None]) -> None:
        session = self._session
        with session.turns:
            if self.has_next:
                session.turns.call_soon(callback)
            else:
                self._waiters.append(Waiter(1, session.leave_for_loop(callback)))

    def close(self) -> None:
        session = self._session
        if self._is_closed:
            return
        self._is_closed = True
        for index in range(self._taken, self._made):
            session.drop_ref(object_id_of(self.task_id, index))
        session.run_later(self._tell_producer)

    def describe(self) -> str:
        return f"item {self._taken} of the stream of {self._name}"
