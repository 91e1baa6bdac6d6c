"""An actor in a worker of Dask's: it has threads of its own, so its calls need none of the worker's and are not held up by tasks."""

from __future__ import annotations

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from shoal import cloudpickle
from shoal.engines import ActorTemplate, deserialize
from shoal.exceptions import ActorDiedError
from shoal.integrations.dask.actor_calls import ActorSpec, Call, MethodSpec
from shoal.integrations.dask.connection import Connection, Countdown
from shoal.integrations.dask.errors import Failed, cancelled, captured, failed
from shoal.integrations.dask.keys import TASK_ID_SIZE, id_of
from shoal.integrations.dask.references import DaskObjectRef, unpack, values_of
from shoal.integrations.dask.results import Retried, outcome
from shoal.integrations.dask.running_call import RunningCall, running_call
from shoal.integrations.dask.tasks import loaded
from shoal.integrations.engines.carried_errors import repr_of_actor

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

_BUILT_IN: dict[str, Callable[..., Any]] = {
    "__ray_ready__": lambda instance: True,
    "__shoal_ready__": lambda instance: True,
    "__ray_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
    "__shoal_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
}
_TERMINATE = ("__ray_terminate__", "__shoal_terminate__")
_SMALL = 8192
"""Answers of at most so many bytes go to the caller by way of the scheduler; larger ones are fetched."""


class ActorExit(BaseException):
    """How `exit_actor` leaves a method."""


class Host(ABC):
    """An actor. `ThreadHost` and `AsyncHost` say how its calls run.

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
        self.limits = {"": template.options.max_concurrency or 1, **template.options.concurrency_groups}
        """Group of methods -> how many of its calls run side by side."""
        self.calls: dict[str, Call] = {}
        """Those that have come and have not ended."""
        self.ended = threading.Event()
        self._context = contextvars.copy_context()
        self._again = False

    @abstractmethod
    def serve(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        """Makes the user's object and runs its calls until the end."""

    @abstractmethod
    def begin(self, call: Call) -> None:
        """A call has come: it runs when its turn comes."""

    @abstractmethod
    def cancel(self, key: str) -> None:
        """Drops a call that has not begun; one that runs can see it."""

    @abstractmethod
    def stop(self) -> None:
        """Wakes what waits for calls: there are none any more."""

    # --- its life ---------------------------------------------------------------------------------------------------------------

    def live(self, payload: bytes, values: tuple[bytes, ...]) -> bool:
        """Makes the user's object and runs its calls. Returns whether it is to be made again."""
        self.thread(partial(self.serve, payload, values))
        self.ended.wait()
        return self._again

    def thread(self, target: Callable[[], None]) -> None:
        """Runs something in a thread of the actor's."""
        context = self._context.copy()
        threading.Thread(target=context.run, args=(target,), name=f"shoal-{self.class_name}", daemon=True).start()

    def construct(self, payload: bytes, values: tuple[bytes, ...]) -> bool:
        """Makes the user's object. Returns whether that went well; if not, the actor is dead."""
        name = f"{self.class_name}.__init__"
        call = RunningCall(name, name, bytes(TASK_ID_SIZE), self.spec.job, self.spec.resources, self)
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
            self.connection.tell_of_work("actor_ready", actor=self.actor)
            return True
        finally:
            running_call.reset(token)
        return False

    def _make(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        args, kwargs = unpack(payload, [deserialize(one) for one in values])
        self.instance = loaded(self.spec.data)(*args, **kwargs)

    def end(self, again: bool = False) -> None:
        """The actor is over. (What runs goes on to its end, and nobody hears of it.)"""
        self._again = again
        self.ended.set()
        self.stop()

    def _exit(self, how: str) -> None:
        self._tell_death(ActorDiedError(None, f"Actor {self.class_name} has ended: {how}.", actor_id=self.actor))

    def _tell_death(self, error: ActorDiedError) -> None:
        self.connection.tell_of_work("actor_ended", actor=self.actor, death=cloudpickle.dumps(failed(error)))
        self.end()

    # --- its calls --------------------------------------------------------------------------------------------------------------

    def deliver(self, task: str, spec: bytes, payload: bytes, awaited: list[str], keys: list[str]) -> None:
        """A call has come."""
        try:
            method: MethodSpec = loaded(bytes(spec))
        except Exception as error:  # of a class of errors, which the worker cannot import
            self._fail(task, keys, captured(error, task.rpartition("-")[0], actor_id=self.actor))
            return
        retries = self.template.options.max_task_retries if method.retries is None else method.retries
        self.begin(Call(task, method, payload, awaited, keys, retries))

    def find(self, key: str) -> Call | None:
        """Returns the call of a result, or of a task's own key."""
        return self.calls.get(key) or next((call for call in self.calls.values() if key in call.keys), None)

    def group_of(self, call: Call) -> str:
        """Returns the group of the method that is called."""
        return call.spec.group if call.spec.group in self.limits else ""

    def running(self, call: Call) -> RunningCall:
        """A call runs from now on."""
        spec, task_id = call.spec, id_of(call.task)[:TASK_ID_SIZE]
        call.running = RunningCall(self.name_of(spec), spec.name, task_id, spec.job, self.spec.resources, self)
        return call.running

    def name_of(self, spec: MethodSpec) -> str:
        """Returns the method's qualified name."""
        return f"{self.class_name}.{spec.method}"

    def awaited(self, key: str) -> DaskObjectRef[Any]:
        """Returns a reference that a call needs the value of."""
        return DaskObjectRef(self.connection.borrow(key), self.connection)

    def invoke(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a method. Raises what it raises; ActorExit."""
        built_in = _BUILT_IN.get(name)
        if built_in is not None:
            return built_in(self.instance, *args, **kwargs)
        if name in _TERMINATE:
            raise ActorExit
        return getattr(self.instance, name)(*args, **kwargs)

    def has_failed(self, call: Call, error: BaseException) -> bool:
        """A method has raised. Returns whether it is to be run again; if not, the call has been answered."""
        spec = call.spec
        if isinstance(error, ActorExit):
            self._exit("it called exit_actor()")
        elif call.retries and isinstance(error, Exception) and _is_retried(error, spec.retried):
            call.retries -= 1
            return True
        else:
            shown = repr_of_actor(self.instance, self.class_name)
            self._fail(call.task, call.keys, captured(error, self.name_of(spec), shown, self.actor))
        return False

    def cancelled(self, call: Call) -> None:
        """Answers a call that has been cancelled."""
        self._fail(call.task, call.keys, failed(cancelled(call.task)))

    def answer(self, call: Call, values: list[bytes]) -> None:
        """Answers a call with its results."""
        if self.ended.is_set():
            return
        if call.running is not None and call.running.canceled:
            self.cancelled(call)
            return
        sizes = [len(value) for value in values]
        self.connection.tell_of_work(
            "call_done",
            keep=dict(zip(call.keys, values, strict=True)),
            actor=self.actor,
            task=call.task,
            keys=call.keys,
            sizes=sizes,
            values=values if sum(sizes) <= _SMALL else None,
        )

    def _fail(self, task: str, keys: list[str], error: Failed) -> None:
        if not self.ended.is_set():
            self.connection.tell_of_work(
                "call_done", actor=self.actor, task=task, keys=keys, sizes=[], error=cloudpickle.dumps(error)
            )


def _is_retried(error: Exception, retried: Retried) -> bool:
    return retried if isinstance(retried, bool) else isinstance(error, retried)


class ThreadHost(Host):
    """An actor whose methods are ordinary functions: each group of methods has a queue, and threads that take from it."""

    def __init__(self, session: DaskEngine, spec: ActorSpec, template: ActorTemplate, deaths: int) -> None:
        super().__init__(session, spec, template, deaths)
        self._lock = threading.Lock()
        self._queues: dict[str, SimpleQueue[Call | None]] = {group: SimpleQueue() for group in self.limits}

    def serve(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        if self.construct(payload, values):
            for group, number in self.limits.items():
                for _ in range(number - (group == "")):
                    self.thread(partial(self._take, group))
            self._take("")

    def stop(self) -> None:
        for group, number in self.limits.items():
            for _ in range(number):
                self._queues[group].put(None)

    def begin(self, call: Call) -> None:
        with self._lock:
            self.calls[call.task] = call
        queue = self._queues[self.group_of(call)]
        if not (call.awaited and self.template.options.allow_out_of_order_execution):
            queue.put(call)
            return
        call.refs = [self.awaited(key) for key in call.awaited]
        missing = Countdown(len(call.refs), then=partial(queue.put, call))
        for ref in call.refs:
            self.connection.watch(ref.dask_future, missing.step)

    def cancel(self, key: str) -> None:
        with self._lock:
            call = self.find(key)
            if call is None:
                return
            if call.running is not None:
                call.running.canceled = True
                return
            del self.calls[call.task]
        self.cancelled(call)

    def _take(self, group: str) -> None:
        queue = self._queues[group]
        while (call := queue.get()) is not None and not self.ended.is_set():
            with self._lock:
                running = self.running(call) if call.task in self.calls else None
            if running is not None:
                self._run(call, running)
            del call, running

    def _run(self, call: Call, running: RunningCall) -> None:
        token = running_call.set(running)
        try:
            while self._attempt(call, running):
                pass
        finally:
            running_call.reset(token)
            with self._lock:
                self.calls.pop(call.task, None)

    def _attempt(self, call: Call, running: RunningCall) -> bool:
        """Returns whether it is to be run again."""
        spec = call.spec
        try:
            values, inside = outcome(
                self.session,
                call.task,
                self.name_of(spec),
                spec.returns,
                self.invoke(spec.method, *self._arguments(call)),
            )
            self.session.settle(running, call.keys, inside)
        except BaseException as error:
            return self.has_failed(call, error)
        self.answer(call, values)
        return False

    def _arguments(self, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        refs = call.refs or [self.awaited(key) for key in call.awaited]
        return unpack(call.payload, values_of(self.connection, refs, None) if refs else ())
