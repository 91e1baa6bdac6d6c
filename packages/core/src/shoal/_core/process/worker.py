"""A worker process: forked, connected, then serving tasks, or one actor, until told to end.

The main thread runs the user's code; the IO thread (the client's loop) takes messages and hands calls over.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from shoal._core.process.arguments import unpack_arguments
from shoal._core.process.client import Client
from shoal._core.process.concurrent_executors import DEFAULT_GROUP, AsyncExecutor, ThreadedExecutor
from shoal._core.process.construction import construct
from shoal._core.process.execution import Execution, Runner, WorkerExit, current_execution
from shoal._core.process.peers import Peer
from shoal._core.process.result_outbox import ResultOutbox
from shoal._core.process.sequential_executor import SequentialExecutor, exit_of
from shoal._core.process.wait_explanation import FIRST_WORD_SECONDS, explain_wait
from shoal._core.schema.messages import (
    ActorExiting,
    ActorSpec,
    ActorStarted,
    AskToLeave,
    CancelTask,
    DrainActor,
    GaveBack,
    Notice,
    NotNeeded,
    PushActorCalls,
    PushTasks,
    RoomNeeded,
    StartActor,
    StillNeeded,
    StreamConsumed,
    TaskCall,
    TasksRefused,
)
from shoal._core.schema.worker_config import WorkerConfig
from shoal._core.system.serialization import deserialize
from shoal._core.system.setup_hooks import run_setup_hook
from shoal._core.system.task_errors import capture_task_error
from shoal._core.system.thread_limits import limit_threads
from shoal._core.system.worker_streams import installed_worker_streams

_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
Executor = SequentialExecutor | ThreadedExecutor | AsyncExecutor


class Worker:
    """One worker process. A task worker turns into an actor when the node says so; never back."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._outbox = ResultOutbox()
        self._runner = Runner(client.references, client.node, client.put, client)
        self._functions: dict[bytes, Any] = {}
        self._spec: ActorSpec | None = None
        self._incarnation = 0
        self._instance: Any = None
        self._early: list[tuple[Peer, PushActorCalls]] = []
        """Calls that came before the constructor returned."""
        self._cpus = -1.0
        self._visible_gpus = os.environ.get(_VISIBLE_GPUS)
        """What tasks without GPUs see."""
        self._become: StartActor | None = None
        self._tasks = SequentialExecutor(
            self._runner, self._outbox, client.loop, self._task_function, self._hand_back, _name_output
        )
        self._executor: Executor = self._tasks
        client.on_peer_message = self._peer_message
        client.on_node_message = self._node_message
        client.on_flush = self._outbox.flush
        client.on_before_block = self._before_block
        client.references.on_long_wait = self._explain_wait
        client.references.patience = FIRST_WORD_SECONDS

    def _explain_wait(self, object_ids: list[bytes], seconds: float) -> None:
        """A task or an actor waits for long: drivers are told for what."""
        name = self.client.context().task_name or "a worker"
        self.client.node.send(Notice(f"{name} (pid={os.getpid()}) is {explain_wait(self.client, object_ids, seconds)}"))

    # --- the main thread ---------------------------------------------------------------------------------------------------

    def run(self) -> WorkerExit:
        """Serves until the process shall end."""
        signal.signal(signal.SIGINT, self._tasks.on_interrupt)
        end = self._tasks.run()
        if self._become is not None:
            end = self._run_actor(self._become)
        return end

    def _run_actor(self, start: StartActor) -> WorkerExit:
        spec = start.spec
        self._spec = spec
        client = self.client
        client.actor_spec = spec
        client.was_reconstructed = start.incarnation > 0
        client.gpu_ids = start.gpu_ids
        client.placement_group_id = spec.scheduling_class.placement_group_id
        client.capture_children = spec.scheduling_class.capture_children
        execution = Execution(Peer("", client.node.connection), TaskCall(spec.creation_task_id, b"", b""))
        execution.function_name = f"{spec.class_name}.__init__"
        execution.name = execution.function_name
        execution.actor_id = spec.actor_id
        self._apply_lease(start.gpu_ids, spec.scheduling_class.resources.get("CPU", 0) / 10000)
        limits = {DEFAULT_GROUP: spec.max_concurrency, **spec.concurrency_groups}
        if spec.is_async:
            self._executor = AsyncExecutor(self._runner, self._outbox, self._method, limits)
            client.in_async_actor = True
        elif spec.max_concurrency > 1 or spec.concurrency_groups:
            self._executor = ThreadedExecutor(self._runner, self._outbox, self._method, limits)
        else:
            self._executor = SequentialExecutor(self._runner, self._outbox, client.loop, self._method, None, _keep_name)
            client.references.sequential_actor_id = spec.actor_id
            signal.signal(signal.SIGINT, self._executor.on_interrupt)
        token = current_execution.set(execution)
        _name_output(spec.class_name)
        try:
            actor_class = deserialize(spec.class_data)
            args, kwargs, _ = unpack_arguments(spec.args, spec.deps, spec.slots, client.references, client.node.open)
            spec.args, spec.deps, spec.class_data = b"", [], b""
            self._instance = construct(actor_class, args, kwargs)
            del args, kwargs
        except BaseException as error:
            status = exit_of(error).status if isinstance(error, SystemExit) else 1
            data = capture_task_error(
                error, execution.function_name, pid=os.getpid(), attempt=start.incarnation, task_name=execution.name
            )
            client.node.send(ActorStarted(spec.actor_id, data))
            return WorkerExit(status, "the constructor raised")
        finally:
            current_execution.reset(token)
        repr_name = _own_repr(self._instance)
        client.node.send(ActorStarted(spec.actor_id, b"", repr_name))
        client.loop.call_soon(self._take_early)
        end = self._executor.run()
        client.node.send(ActorExiting(spec.actor_id, end.reason))
        return end

    def _method(self, execution: Execution) -> Callable[..., Any]:
        name = execution.call.function_id.decode()
        assert self._spec is not None
        execution.actor_id = self._spec.actor_id
        execution.function_name = f"{self._spec.class_name}.{name}"
        execution.name = execution.call.name or execution.function_name
        if name == "__ray_ready__":
            return _ready
        if name == "__ray_call__":
            return self._call_on_instance
        if name == "__ray_terminate__":
            return self._terminate
        method: Callable[..., Any] = getattr(self._instance, name)
        return method

    def _call_on_instance(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(self._instance, *args, **kwargs)

    def _terminate(self) -> None:
        self._executor.stop(0, "__ray_terminate__ was called", at_once=True)

    def _task_function(self, execution: Execution) -> Callable[..., Any]:
        function_id = execution.call.function_id
        entry = self._functions[function_id]
        execution.function_name = entry[0]
        execution.name = execution.call.name or entry[0]
        if entry[2] is None:
            entry[2] = deserialize(entry[1])
            entry[1] = b""
        function: Callable[..., Any] = entry[2]
        return function

    def _before_block(self) -> None:
        """The user's code is about to wait: nothing of ours may wait with it."""
        self._outbox.flush()
        if self._executor is self._tasks:
            self._tasks.hand_back_queued()

    # --- the IO thread ---------------------------------------------------------------------------------------------------------

    def _peer_message(self, peer: Peer, message: Any) -> None:
        kind = type(message)
        if kind is PushTasks:
            self._push_tasks(peer, message)
        elif kind is PushActorCalls:
            self._push_calls(peer, message)
        elif kind is CancelTask:
            self._executor.cancel(message.task_id, message.recursive)
        elif kind is StreamConsumed:
            self._consumed(message)

    def _push_tasks(self, peer: Peer, message: PushTasks) -> None:
        for definition in message.definitions:
            self._functions.setdefault(definition.function_id, [definition.name, definition.data, None])
        if message.gpu_ids is not None:
            self.client.lease_resources = message.resources
            if message.placement_group != self.client.placement_group_id:
                self.client.tasks.forget_inherited()
            self.client.placement_group_id = message.placement_group
            self.client.capture_children = message.capture_children
            self._apply_lease(message.gpu_ids, message.cpus)
        executions = [Execution(peer, call) for call in message.calls]
        self._tasks.accept(executions)

    def _push_calls(self, peer: Peer, message: PushActorCalls) -> None:
        if self._spec is None or message.actor_id != self._spec.actor_id:
            peer.send(TasksRefused([call.task_id for call in message.calls], "another actor lives here"))
            return
        if self._instance is None:
            self._early.append((peer, message))
            return
        executions = [Execution(peer, call) for call in message.calls]
        self._executor.accept(executions)

    def _take_early(self) -> None:
        early, self._early = self._early, []
        for peer, message in early:
            self._push_calls(peer, message)

    def _consumed(self, message: StreamConsumed) -> None:
        execution = self._runner.streams.get(message.task_id)
        if execution is None:
            return
        execution.consumed = message.count
        wake = execution.wake_producer
        if wake is not None:
            wake()

    def _hand_back(self, executions: list[Execution]) -> None:
        by_peer: dict[Peer, list[bytes]] = {}
        for execution in executions:
            by_peer.setdefault(execution.peer, []).append(execution.call.task_id)
        for peer, task_ids in by_peer.items():
            peer.send(GaveBack(task_ids))

    def _node_message(self, message: Any) -> None:
        kind = type(message)
        if kind is StartActor:
            self._spec = message.spec
            self._become = message
            self._tasks.stop(0, "becomes an actor")
        elif kind is AskToLeave:
            self._leave_if_unneeded()
        elif kind is RoomNeeded:
            self._runner.ahead.let_all_go()
        elif kind is DrainActor:
            self._executor.stop(0, "no handle to the actor is left")

    def _leave_if_unneeded(self) -> None:
        """Ends the process, unless others refer to objects of its; then it ends as soon as they do not, if it has no work."""
        if self.client.references.needed_by_others():
            self.client.references.on_freed = self._something_freed
            self.client.node.send(StillNeeded())
        else:
            self._tasks.stop(0, "it was idle")

    def _something_freed(self) -> None:
        if not self.client.references.needed_by_others_locked():
            self.client.references.on_freed = _nothing
            self.client.node.send(NotNeeded())

    def _apply_lease(self, gpu_ids: list[int], cpus: float) -> None:
        self.client.gpu_ids = gpu_ids
        if gpu_ids:
            os.environ[_VISIBLE_GPUS] = ",".join(map(str, gpu_ids))
        elif self._visible_gpus is None:
            os.environ.pop(_VISIBLE_GPUS, None)
        else:
            os.environ[_VISIBLE_GPUS] = self._visible_gpus
        if cpus != self._cpus:
            self._cpus = cpus
            limit_threads(max(1, int(cpus)))


def _name_output(name: str) -> None:
    """What is printed from now on is this task's or actor's."""
    streams = installed_worker_streams()
    if streams is not None:
        streams.set_name(name)


def _keep_name(name: str) -> None:
    """An actor's output goes by the name of its class."""


def _own_repr(instance: Any) -> str:
    """How an actor's class wants to be shown; empty where it does not say."""
    defined: Any = type(instance).__repr__
    return repr(instance) if defined is not object.__repr__ else ""


def _nothing() -> None:
    return


def _ready() -> bool:
    return True


def serve(config_data: bytes, adopt: Callable[[Client], None]) -> None:
    """The life of a worker process; does not return. `adopt` makes the client the process's session."""
    config = msgspec.msgpack.decode(config_data, type=WorkerConfig)
    if config.logging:
        from shoal._core.system.log_format import configure_root_logger

        configure_root_logger(config.logging)
    # Before hello: a worker whose hook fails was never there, and its environment is what failed.
    run_setup_hook(config.setup_hook)
    client = Client(
        worker_id=config.worker_id,
        role="worker",
        daemon_address=config.daemon_address,
        job_id=config.job_id,
        namespace=config.namespace,
    )
    client.environment_json = config.environment_json
    client.on_daemon_gone = lambda: os._exit(1)
    worker = Worker(client)
    client.start()
    adopt(client)
    end = worker.run()
    _leave(client, end)


def _leave(client: Client, end: WorkerExit) -> None:
    """Ends the process as Python would: exit handlers run, output is flushed; but no thread can hold it up."""
    import atexit

    status = end.status
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        sys.stderr.write(f"while the worker ended: {error!r}\n")
        status = status or 1
    client.flush()
    os._exit(status)
