"""One process's connection with a Dask cluster: its client, what it asks the head, and whom it tells when keys are done."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from distributed import Future
from distributed.threadpoolexecutor import rejoin
from distributed.threadpoolexecutor import thread_state as pool_state
from distributed.worker import secede

from shoal.exceptions import SessionEndedError, ShoalSystemError
from shoal.integrations.dask.sending import send_now

if TYPE_CHECKING:
    from distributed import Client, Worker

    from shoal.integrations.dask.streams import DaskStream

PENDING = ("pending", "lost")
_LOST = "the connection with Dask's scheduler is lost"


class Connection:
    """Args:
    client: of this process.
    worker: Dask's worker in this process; None in drivers.
    """

    def __init__(self, client: Client, worker: Worker | None = None) -> None:
        self.client: Any = client
        self.worker: Any = worker
        self.is_closed = False
        self.streams: WeakValueDictionary[str, DaskStream] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Any, ...]] = {}
        self._watches: dict[str, list[Callable[[], None]]] = {}
        self._answers: dict[int, concurrent.futures.Future[Any]] = {}
        self._numbers = itertools.count()
        handlers: dict[str, Any] = self.client._stream_handlers
        self._handlers_before = dict(handlers)
        for op in ("key-in-memory", "task-erred"):
            handlers[op] = self._then_tell(handlers[op])
        handlers["cancelled-keys"] = self._then_tell_all(handlers["cancelled-keys"])
        handlers["shoal-answer"] = self._answered
        handlers["shoal-item"] = self._item_arrived
        handlers["shoal-values"] = self._values_arrived
        # When the scheduler is lost, Dask cancels all futures, and says so to those who wait for them alone.
        self._alive: Any = Future(f"shoal-alive-{uuid.uuid4().hex}", client)
        loop: Any = client.loop
        loop.add_callback(self._when_lost)

    # --- the head ---------------------------------------------------------------------------------------------------------------

    def tell(self, what: str, **facts: Any) -> None:
        """Tells the head something, in the order of all that this process tells the scheduler."""
        self.client._send_to_scheduler({"op": "shoal", "what": what, "facts": facts})

    def ask(self, what: str, **facts: Any) -> Any:
        """Returns the head's answer, which it gives after it has heard all that this process has told the scheduler before.

        Raises SessionEndedError, ShoalSystemError.
        """
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            self._check_open()
            if self._alive.status not in PENDING:
                raise ShoalSystemError(_LOST)
            number = next(self._numbers)
            self._answers[number] = answer
        self.client._send_to_scheduler({"op": "shoal", "what": what, "facts": facts, "number": number})
        self.hurry()
        return answer.result()

    def _answered(self, number: int, answer: Any, error: str = "") -> None:
        with self._lock:
            waiting = self._answers.pop(number, None)
        if waiting is not None:
            if error:
                waiting.set_exception(ShoalSystemError(error))
            else:
                waiting.set_result(answer)

    def hurry(self) -> None:
        """What this process has told the scheduler is sent now: somebody waits for what comes of it."""
        self.client.loop.add_callback(lambda: send_now(self.client.scheduler_comm))

    def tell_of_work(self, what: str, keep: dict[str, bytes] | None = None, **facts: Any) -> None:
        """Tells the head something at once, in the order of what this worker says of its tasks.

        Args:
            what: it is.
            keep: values that are put into the memory of this worker before.
        """
        self.worker.loop.add_callback(self._send_of_work, keep, {"op": "shoal", "what": what, "facts": facts})

    def _send_of_work(self, keep: dict[str, bytes] | None, message: dict[str, Any]) -> None:
        try:
            if keep:
                self.worker.update_data(keep)
        finally:
            self.worker.batched_stream.send(message)
            send_now(self.worker.batched_stream)

    def run_soon(self, coroutine: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Runs a coroutine in the client's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)

    def close(self) -> None:
        """Leaves the client as it was. What was submitted and is not done is let go of; threads that wait for it hear of the end."""
        self.client._stream_handlers.update(self._handlers_before)
        with self._lock:
            self.is_closed = True
            watching, self._watches = self._watches, {}
            held, self._held = self._held, {}
            answers, self._answers = self._answers, {}
        for callbacks in watching.values():
            _call(callbacks)
        for answer in answers.values():
            answer.set_exception(SessionEndedError())
        held.clear()
        self._alive.release()

    # --- keys -------------------------------------------------------------------------------------------------------------------

    def future_of(self, key: str) -> Any:
        """Returns a future of a key, which this client counts. The scheduler is not told."""
        return Future(key, self.client)

    def borrow(self, key: str) -> Any:
        """Returns a future of a key that has arrived from elsewhere."""
        future: Any = Future(key, self.client)
        self.tell("desire", keys=[key])
        return future

    def hold(self, future: Any, *others: Any) -> None:
        """Keeps a future, and other things, until it is done: so what nobody waits for is done, too."""
        with self._lock:
            self._held[future.key] = (future, others)
        if future.status not in PENDING:
            self._done(future.key)

    def watch(self, future: Any, callback: Callable[[], None]) -> None:
        """Calls `callback` once when a future is done."""
        with self._lock:
            if future.status in PENDING and not self.is_closed:
                self._watches.setdefault(future.key, []).append(callback)
                return
        callback()

    def forget(self, future: Any, callback: Callable[[], None]) -> None:
        """Takes a `watch` back, if it is still there."""
        with self._lock:
            watching = self._watches.get(future.key)
            if watching is not None and callback in watching:
                watching.remove(callback)
                if not watching:
                    del self._watches[future.key]

    def _done(self, key: str) -> None:
        with self._lock:
            watching = self._watches.pop(key, ())
            held = self._held.pop(key, None)
        _call(watching)
        del held  # outside of the lock: what is let go of may need it

    async def _when_lost(self) -> None:
        await self._alive._state.wait()
        with self._lock:
            keys, numbers = {*self._watches, *self._held}, list(self._answers)
        for key in keys:
            self._done(key)
        for number in numbers:
            self._answered(number, None, _LOST)

    def _then_tell(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(key: str, **facts: Any) -> None:
            handler(key=key, **facts)
            self._done(key)

        return handle

    def _then_tell_all(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(keys: list[str], **facts: Any) -> None:
            handler(keys=keys, **facts)
            for key in keys:
                self._done(key)

        return handle

    def _item_arrived(self, stream: str, index: int, key: str, worker: str) -> None:
        future = self.future_of(key)
        self.client._stream_handlers["key-in-memory"](key=key)
        found = self.streams.get(stream)
        if found is not None:
            found.arrived(index, future, worker)

    def _values_arrived(self, keys: list[str], values: list[bytes]) -> None:
        """An actor has answered with small values, which need not be fetched. (Dask says next that they are there.)"""
        for key, value in zip(keys, values, strict=True):
            held = self._held.get(key)
            if held is not None:
                held[0].shoal_value = value

    # --- waiting ----------------------------------------------------------------------------------------------------------------

    def wait(
        self, futures: Iterable[Any], number: int, timeout: float | None, stop: Callable[[Any], bool] | None = None
    ) -> bool:
        """Waits until `number` of some futures are done, or one for which `stop` holds. Returns whether that was in time."""
        countdown = Countdown(number)
        watched = [
            (future, lambda future=future: countdown.step(stop is not None and stop(future))) for future in futures
        ]
        for future, callback in watched:
            self.watch(future, callback)
        try:
            return self.wait_for(countdown.event, timeout)
        finally:
            for future, callback in watched:
                self.forget(future, callback)

    def wait_for(self, event: threading.Event, timeout: float | None) -> bool:
        """Waits for an event. Raises SessionEndedError where the session ends first."""
        self._check_open()
        arrived = self._wait(event, timeout)
        self._check_open()
        return arrived

    def _check_open(self) -> None:
        if self.is_closed:
            raise SessionEndedError

    def _wait(self, event: threading.Event, timeout: float | None) -> bool:
        """A task gives its thread to others meanwhile, so that it may wait for them."""
        if event.is_set() or timeout == 0:
            return event.is_set()
        self.hurry()
        in_pool = getattr(pool_state, "proceed", False)
        if not in_pool:
            return event.wait(timeout)
        secede()
        try:
            return event.wait(timeout)
        finally:
            rejoin()

    def fetch(self, futures: list[Any]) -> concurrent.futures.Future[list[Any]]:
        """Begins to bring the values of futures that are done. What Dask raises, the returned future raises."""
        missing = [future for future in futures if not hasattr(future, "shoal_value")]
        if missing:
            return self.run_soon(self._fetch(futures, missing))
        values: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()
        values.set_result([future.shoal_value for future in futures])
        return values

    async def _fetch(self, futures: list[Any], missing: list[Any]) -> list[Any]:
        fetched = iter(await self.client._gather(missing, local_worker=self.worker))
        return [future.shoal_value if hasattr(future, "shoal_value") else next(fetched) for future in futures]


def _call(callbacks: Iterable[Callable[[], None]]) -> None:
    for one in callbacks:
        one()


class Countdown:
    """Sets its event at the last of `number` steps, or at one that says so.

    Args:
        number: how many steps; 0 for none.
        then: called at the last one, by whoever takes it.
    """

    __slots__ = ("_left", "_lock", "_then", "event")

    def __init__(self, number: int, then: Callable[[], None] | None = None) -> None:
        self.event = threading.Event()
        self._left = number
        self._then = then
        self._lock = threading.Lock()
        if number <= 0:
            self.event.set()

    def step(self, last: bool = False) -> None:
        """One is done."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last or last:
            self.event.set()
        if is_last and self._then is not None:
            self._then()
