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

from shoal.exceptions import GetTimeoutError, SessionEndedError, ShoalSystemError

if TYPE_CHECKING:
    from distributed import Client, Worker

    from shoal.integrations.dask.streams import DaskStream

PENDING = ("pending", "lost")


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
        self._watches: dict[str, list[Any]] = {}
        self._answers: dict[int, concurrent.futures.Future[Any]] = {}
        self._numbers = itertools.count()
        handlers: dict[str, Any] = self.client._stream_handlers
        self._handlers_before = dict(handlers)
        for op in ("key-in-memory", "task-erred"):
            handlers[op] = self._then_tell(handlers[op])
        handlers["cancelled-keys"] = self._then_tell_all(handlers["cancelled-keys"])
        handlers["shoal-item"] = self._item_arrived
        handlers["shoal-answer"] = self._answered
        # When the scheduler is lost, Dask cancels all futures, and says so to those who wait for them alone.
        self._alive: Any = Future(f"shoal-alive-{uuid.uuid4().hex}", client)
        loop: Any = self.client.loop
        loop.add_callback(self._when_lost)

    # --- the head ---------------------------------------------------------------------------------------------------------------

    def ask(self, question: str, **facts: Any) -> Any:
        """Returns the head's answer; waits for it."""
        return self.client.sync(self.ask_soon, question, **facts)

    def ask_in_order(self, question: str, **facts: Any) -> Any:
        """Returns the head's answer to a question that it hears after all that this process has told the scheduler before."""
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = answer
        self.tell("shoal-ask", number=number, question=question, facts=facts)
        return answer.result()

    def _answered(self, number: int, answer: Any, error: str = "") -> None:
        with self._lock:
            waiting = self._answers.pop(number, None)
        if waiting is not None:
            if error:
                waiting.set_exception(ShoalSystemError(error))
            else:
                waiting.set_result(answer)

    async def ask_soon(self, question: str, **facts: Any) -> Any:
        """The same in the client's event loop."""
        return await self.client.scheduler.shoal(question=question, **facts)

    def tell(self, op: str, **facts: Any) -> None:
        """Tells the head something, in the order of all that this process tells the scheduler."""
        self.client._send_to_scheduler({"op": op, **facts})

    def tell_of_work(self, op: str, **facts: Any) -> None:
        """Tells the head something, in the order of what this worker says of its tasks."""
        self.worker.loop.add_callback(self.worker.batched_stream.send, {"op": op, **facts})

    def keep(self, values: dict[str, bytes]) -> None:
        """Puts values into the memory of this worker. What is told of them has to be told after, with `tell_of_work`."""
        self.worker.loop.add_callback(self.worker.update_data, values)

    def run_soon(self, coroutine: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Runs a coroutine in the client's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)

    def close(self) -> None:
        """Leaves the client as it was. What was submitted and is not done is let go of; threads that wait for it hear of the end."""
        self.client._stream_handlers.update(self._handlers_before)
        with self._lock:
            self.is_closed = True
            watching, self._watches = self._watches, {}
        for watches in watching.values():
            _call(watches)
        self._alive.release()

    # --- keys -------------------------------------------------------------------------------------------------------------------

    def future_of(self, key: str) -> Any:
        """Returns a future of a key, which this client counts. The scheduler is not told."""
        return Future(key, self.client)

    def borrow(self, key: str) -> Any:
        """Returns a future of a key that has arrived from elsewhere."""
        future: Any = Future(key, self.client)
        self.tell("shoal-desire", keys=[key], client=self.client.id)
        return future

    def hold(self, future: Any, *others: Any) -> None:
        """Keeps a future, and other things, until it is done: so what nobody waits for is done, too."""
        with self._lock:
            self._watches.setdefault(future.key, []).append((future, others))
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
        _call(watching)

    async def _when_lost(self) -> None:
        await self._alive._state.wait()
        for key in list(self._watches):
            self._done(key)
        for number in list(self._answers):
            self._answered(number, None, "the connection with Dask's scheduler is lost")

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
        in_pool = getattr(pool_state, "proceed", False)
        if not in_pool:
            return event.wait(timeout)
        secede()
        try:
            return event.wait(timeout)
        finally:
            rejoin()

    def gather(self, futures: list[Any], timeout: float | None) -> list[Any]:
        """Returns the values of futures that are done. Raises what Dask raises."""
        try:
            values: list[Any] = self.client.gather(futures)
        except TimeoutError as error:
            raise GetTimeoutError(str(error)) from None
        return values


def _call(watches: Iterable[Any]) -> None:
    for one in watches:
        if callable(one):  # else it is what `hold` keeps
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
