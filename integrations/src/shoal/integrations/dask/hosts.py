"""What actors are in a worker of Dask's: a task that never ends, and threads of its own that run the calls.

Calls do not come as tasks, so they need none of the worker's threads and are not held up by tasks: the head sends them in the order in
which it has got them, and answers become objects (`head`).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed.worker import secede

from shoal import DynamicObjectRefGenerator, cloudpickle
from shoal.engines import DYNAMIC, STREAMING, ActorTemplate, deserialize
from shoal.exceptions import ActorDiedError, TaskCancelledError
from shoal.integrations.dask.connection import Connection, Countdown
from shoal.integrations.dask.errors import Failed, captured, failed
from shoal.integrations.dask.keys import TASK_ID_SIZE, id_of
from shoal.integrations.dask.references import DaskObjectRef, unpack, values_of
from shoal.integrations.dask.results import Inside, packed_results
from shoal.integrations.dask.running_call import Job, RunningCall, running_call
from shoal.integrations.dask.sessions import ensure_session
from shoal.integrations.dask.tasks import Retried, loaded
from shoal.integrations.engines.carried_errors import repr_of_actor
from shoal.integrations.engines.templates import template_of

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

ASYNC_CONCURRENCY = 1000
_BUILT_IN: dict[str, Callable[..., Any]] = {
    "__ray_ready__": lambda instance: True,
    "__shoal_ready__": lambda instance: True,
    "__ray_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
    "__shoal_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
}
_TERMINATE = ("__ray_terminate__", "__shoal_terminate__")


class ActorExit(BaseException):
    """How `exit_actor` leaves a method."""


class ActorSpec(NamedTuple):
    """What a worker needs to know of an actor, but its arguments."""

    actor: str
    data: bytes
    """The pickled class."""
    template: bytes
    job: Job
    resources: dict[str, float]


class MethodSpec(NamedTuple):
    """What a worker needs to know of a call, but its arguments."""

    method: str
    group: str
    name: str
    num_returns: int
    retries: int | None
    retried: Retried
    backpressure: int
    job: Job
    client: str


class Call:
    """One call that an actor has got.

    Args:
        task: key of the call.
        spec: the pickled MethodSpec.
        payload: its arguments.
        awaited: keys of those of which the values are needed.
        keys: of its results.
    """

    __slots__ = ("awaited", "keys", "payload", "refs", "running", "spec", "task")

    def __init__(self, task: str, spec: bytes, payload: bytes, awaited: list[str], keys: list[str]) -> None:
        self.task = task
        self.spec: MethodSpec = loaded(bytes(spec))
        self.payload = payload
        self.awaited = awaited
        self.keys = list(keys)
        self.running: RunningCall | None = None
        self.refs: list[DaskObjectRef[Any]] = []
        """Of what it waits for before its turn comes, where calls need not keep their order."""


def live(spec: bytes, payload: bytes, *values: bytes) -> None:
    """An actor's life. (Dask runs it. It ends with the actor.)"""
    session = ensure_session()
    secede()
    actor: ActorSpec = pickle.loads(spec)
    again = True
    while again:
        deaths = session.connection.ask("actor_starts", actor=actor.actor, worker=session.connection.worker.address)
        if deaths is None:
            return
        template = template_of(actor.template)
        made = (AsyncHost if template.is_async else Host)(session, actor, template, deaths)
        session.hosts.add(made)
        try:
            again = made.live(payload, values)
        finally:
            session.hosts.remove(made)


class Hosts:
    """The actors of this worker.

    Args:
        connection: of this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._hosts: dict[str, Host] = {}
        if connection.worker is not None:
            connection.worker.stream_handlers.update(
                {"shoal-call": self._call, "shoal-cancel": self._cancel, "shoal-end": self._end}
            )

    def add(self, host: Host) -> None:
        """An actor begins here."""
        self._hosts[host.actor] = host

    def remove(self, host: Host) -> None:
        """It has ended."""
        if self._hosts.get(host.actor) is host:
            del self._hosts[host.actor]

    def _call(self, actor: str, **facts: Any) -> None:
        host = self._hosts.get(actor)
        if host is not None:
            host.deliver(Call(**facts))

    def _cancel(self, actor: str, key: str) -> None:
        host = self._hosts.get(actor)
        if host is not None:
            host.cancel(key)

    def _end(self, actor: str, now: bool, again: bool = False) -> None:
        host = self._hosts.get(actor)
        if host is not None:
            host.end(again)


class Host:
    """An actor whose methods are ordinary functions: each group of methods has a queue, and threads that take from it.

    Args:
        session: of this worker.
        spec: of the actor.
        template: its class and options.
        deaths: how often it has died before.
    """

    def __init__(self, session: DaskEngine, spec: ActorSpec, template: ActorTemplate, deaths: int) -> None:
        self.session = session
        self.spec = spec
        self.template = template
        self.actor = spec.actor
        self.class_name = template.definition.name
        self.was_reconstructed = deaths > 0
        self.connection: Connection = session.connection
        self.instance: Any = None
        self._context = contextvars.copy_context()
        self._ended = threading.Event()
        self._again = False
        self._lock = threading.Lock()
        self._calls: dict[str, Call] = {}
        limits = template.options.concurrency_groups
        self._threads = {"": template.options.max_concurrency or 1, **limits}
        self._queues: dict[str, SimpleQueue[Call | None]] = {group: SimpleQueue() for group in self._threads}

    def live(self, payload: bytes, values: tuple[bytes, ...]) -> bool:
        """Makes the user's object and runs its calls. Returns whether it is to be made again."""
        self._start(payload, values)
        self._ended.wait()
        return self._again

    def _start(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        def first() -> None:
            if self._construct(payload, values):
                for group, number in self._threads.items():
                    for _ in range(number - (group == "")):
                        self._thread(partial(self._take, group))
                self.connection.tell_of_work("shoal-ready", actor=self.actor)
                self._take("")

        self._thread(first)

    def _thread(self, target: Callable[[], None]) -> None:
        context = self._context.copy()
        threading.Thread(target=context.run, args=(target,), name=f"shoal-{self.class_name}", daemon=True).start()

    def _construct(self, payload: bytes, values: tuple[bytes, ...]) -> bool:
        """Makes the user's object. Returns whether that went well; if not, the actor is dead."""
        name = f"{self.class_name}.__init__"
        call = RunningCall(name, bytes(TASK_ID_SIZE), self.spec.job, self, resources=self.spec.resources)
        token = running_call.set(call)
        try:
            self._make(payload, values)
            self.session.settle(call, [], [])
        except ActorExit:
            self._exit("it called exit_actor() in its constructor")
        except BaseException as error:
            cause = captured(error, name, actor_id=self.actor).error()
            self._tell_death(ActorDiedError(cause, actor_id=self.actor, actor_name=self.class_name))
        else:
            return True
        finally:
            running_call.reset(token)
        return False

    def _make(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        args, kwargs = unpack(payload, [deserialize(one) for one in values])
        self.instance = loaded(self.spec.data)(*args, **kwargs)

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def end(self, again: bool) -> None:
        """The actor is over, by the head's word. (What runs goes on to its end, and nobody hears of it.)"""
        self._again = again
        self._ended.set()
        for group, number in self._threads.items():
            for _ in range(number):
                self._queues[group].put(None)

    def _exit(self, how: str) -> None:
        self._tell_death(ActorDiedError(None, f"Actor {self.class_name} has ended: {how}.", actor_id=self.actor))

    def _tell_death(self, error: ActorDiedError) -> None:
        self.connection.tell_of_work("shoal-ended", actor=self.actor, death=dumped(failed(error)))
        self.end(again=False)

    # --- calls ------------------------------------------------------------------------------------------------------------------

    def deliver(self, call: Call) -> None:
        """A call has come."""
        with self._lock:
            self._calls[call.task] = call
        queue = self._queues[self._group_of(call.spec)]
        if not (call.awaited and self.template.options.allow_out_of_order_execution):
            queue.put(call)
            return
        call.refs = [self._awaited(key) for key in call.awaited]
        missing = Countdown(len(call.refs), then=partial(queue.put, call))
        for ref in call.refs:
            self.connection.watch(ref.dask_future, missing.step)

    def _group_of(self, spec: MethodSpec) -> str:
        return spec.group if spec.group in self._threads else ""

    def cancel(self, key: str) -> None:
        """Drops a call that has not begun; one that runs can see it."""
        with self._lock:
            call = self._found(key)
            if call is None:
                return
            if call.running is not None:
                call.running.canceled = True
                return
            del self._calls[call.task]
        self._fail(call, failed(TaskCancelledError(call.task[-56:-8])))

    def _found(self, key: str) -> Call | None:
        return self._calls.get(key) or next((call for call in self._calls.values() if key in call.keys), None)

    def _take(self, group: str) -> None:
        queue = self._queues[group]
        while (call := queue.get()) is not None and not self._ended.is_set():
            running = self._running(call)
            with self._lock:
                if call.task not in self._calls:
                    continue
                call.running = running
            token = running_call.set(running)
            try:
                self._run(call, running)
            finally:
                running_call.reset(token)
                with self._lock:
                    self._calls.pop(call.task, None)
            del call, running

    def _running(self, call: Call) -> RunningCall:
        function_name = f"{self.class_name}.{call.spec.method}"
        task_id = id_of(call.task)[:TASK_ID_SIZE]
        return RunningCall(function_name, task_id, call.spec.job, self, call.spec.name, self.spec.resources)

    def _run(self, call: Call, running: RunningCall) -> None:
        spec = call.spec
        attempts = self._retries(spec)
        while True:
            try:
                values, inside = self._outcome(call)
            except ActorExit:
                self._exit("it called exit_actor()")
            except BaseException as error:
                if attempts and self._is_retried(spec, error):
                    attempts -= 1
                    continue
                self._fail(call, self._captured(error, spec))
            else:
                self.session.settle(running, call.keys, inside)
                self._answer(call, values)
            return

    def _retries(self, spec: MethodSpec) -> int:
        return self.template.options.max_task_retries if spec.retries is None else spec.retries

    def _is_retried(self, spec: MethodSpec, error: BaseException) -> bool:
        retried = spec.retried
        return isinstance(error, Exception) and (retried is True or (bool(retried) and isinstance(error, retried)))  # type: ignore[arg-type]

    def _captured(self, error: BaseException, spec: MethodSpec) -> Failed:
        return captured(
            error, f"{self.class_name}.{spec.method}", repr_of_actor(self.instance, self.class_name), self.actor
        )

    def _outcome(self, call: Call) -> tuple[list[bytes], Inside]:
        spec = call.spec
        result = self._invoke(spec.method, *self._arguments(call))
        if spec.num_returns == STREAMING:
            producer = self.session.producers.begin(call.task, spec.client, spec.backpressure)
            try:
                for item in result:
                    producer.send(item)
            finally:
                self.session.producers.end(producer)
            return packed_results(None, 1, spec.name)
        if spec.num_returns == DYNAMIC:
            return packed_results(self._dynamic(result), 1, spec.name)
        return packed_results(result, spec.num_returns, f"{self.class_name}.{spec.method}")

    def _dynamic(self, items: Iterable[Any]) -> Any:
        return DynamicObjectRefGenerator([self.session.put(item) for item in items])

    def _arguments(self, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        refs = call.refs or [self._awaited(key) for key in call.awaited]
        return unpack(call.payload, values_of(self.connection, refs, None) if refs else ())

    def _awaited(self, key: str) -> DaskObjectRef[Any]:
        return DaskObjectRef(self.connection.borrow(key), self.connection)

    def _invoke(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        built_in = _BUILT_IN.get(name)
        if built_in is not None:
            return built_in(self.instance, *args, **kwargs)
        if name in _TERMINATE:
            raise ActorExit
        return getattr(self.instance, name)(*args, **kwargs)

    def _answer(self, call: Call, values: list[bytes]) -> None:
        if self._ended.is_set():
            return
        if call.running is not None and call.running.canceled:
            self._fail(call, failed(TaskCancelledError(call.task[-56:-8])))
            return
        self.connection.keep(dict(zip(call.keys, values, strict=False)))
        sizes = [len(value) for value in values]
        self.connection.tell_of_work("shoal-done", task=call.task, keys=call.keys, sizes=sizes, actor=self.actor)

    def _fail(self, call: Call, error: Failed) -> None:
        if not self._ended.is_set():
            self.connection.tell_of_work(
                "shoal-done", task=call.task, keys=call.keys, sizes=[], actor=self.actor, error=dumped(error)
            )


class AsyncHost(Host):
    """An actor with coroutine methods: its calls run in an event loop, the ordinary ones too."""

    _loop: asyncio.AbstractEventLoop
    _over: asyncio.Event

    def _start(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        self._threads[""] = self.template.options.max_concurrency or ASYNC_CONCURRENCY
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._thread(lambda: asyncio.run(self._serve(payload, values)))

    async def _serve(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._room = {group: asyncio.Semaphore(number) for group, number in self._threads.items()}
        self._in_threads = ThreadPoolExecutor(thread_name_prefix=f"shoal-{self.class_name}")
        try:
            if self._construct(payload, values):
                self.connection.tell_of_work("shoal-ready", actor=self.actor)
                await self._over.wait()
        finally:
            self._in_threads.shutdown(wait=False)

    def end(self, again: bool) -> None:
        self._again = again
        self._ended.set()
        self._in_loop(self._over.set)

    def _in_loop(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop has ended: so has the actor, and the head knows.
            self._ended.set()

    def deliver(self, call: Call) -> None:
        self._in_loop(self._begin, call)

    def _begin(self, call: Call) -> None:
        self._calls[call.task] = call
        self._tasks[call.task] = self._loop.create_task(self._run_async(call))

    def cancel(self, key: str) -> None:
        self._in_loop(self._cancel_task, key)

    def _cancel_task(self, key: str) -> None:
        call = self._found(key)
        if call is not None:
            self._tasks[call.task].cancel()

    async def _run_async(self, call: Call) -> None:
        try:
            async with self._room[self._group_of(call.spec)]:
                await self._attempts(call)
        except asyncio.CancelledError:
            self._fail(call, failed(TaskCancelledError(call.task[-56:-8])))
        finally:
            self._calls.pop(call.task, None)
            self._tasks.pop(call.task, None)

    async def _attempts(self, call: Call) -> None:
        running = call.running = self._running(call)
        running_call.set(running)
        attempts = self._retries(call.spec)
        while True:
            try:
                values, inside = await self._async_outcome(call)
            except asyncio.CancelledError:
                raise
            except ActorExit:
                self._exit("it called exit_actor()")
            except BaseException as error:
                if attempts and self._is_retried(call.spec, error):
                    attempts -= 1
                    continue
                self._fail(call, self._captured(error, call.spec))
            else:
                if inside or running.arrived:
                    await self._loop.run_in_executor(self._in_threads, self.session.settle, running, call.keys, inside)
                self._answer(call, values)
            return

    async def _async_outcome(self, call: Call) -> tuple[list[bytes], Inside]:
        spec = call.spec
        awaited = await asyncio.gather(*[self._awaited(key).as_future() for key in call.awaited])
        args, kwargs = unpack(call.payload, awaited)
        del awaited
        result = self._invoke(spec.method, args, kwargs)
        if spec.num_returns in (STREAMING, DYNAMIC):
            if spec.num_returns == DYNAMIC:
                refs = [await self._in_thread(self.session.put, item) async for item in _items(result)]
                return packed_results(DynamicObjectRefGenerator(refs), 1, spec.name)
            producer = self.session.producers.begin(call.task, spec.client, spec.backpressure)
            try:
                async for item in _items(result):
                    await self._in_thread(producer.send, item)
            finally:
                self.session.producers.end(producer)
            return packed_results(None, 1, spec.name)
        if inspect.isawaitable(result):
            result = await result
        return packed_results(result, spec.num_returns, f"{self.class_name}.{spec.method}")

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(self._in_threads, function, *args)


async def _items(result: Any) -> Any:
    if hasattr(result, "__aiter__"):
        async for item in result:
            yield item
    else:
        for item in result:
            yield item


def dumped(error: Failed) -> bytes:
    """Returns a carrier as Dask sends errors."""
    return cloudpickle.dumps(error)
