"""The client: what every process has that owns objects, the driver and each worker alike. The native engine as one sees it from inside.

It wires its parts (node link, peers, references, task owner, actor caller) to one IO thread, and offers them as an `api.engine.Engine`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from shoal._core.logic.tasks import Task
from shoal._core.process.actor_caller import ActorCaller, HeldActor
from shoal._core.process.callback_thread import CallbackThread
from shoal._core.process.execution import current_execution
from shoal._core.process.node_link import NodeLink
from shoal._core.process.object_ref import ObjectRef, set_current_home
from shoal._core.process.peers import Peer, Peers
from shoal._core.process.references import References
from shoal._core.process.streams import StreamState
from shoal._core.process.task_owner import TaskOwner
from shoal._core.process.task_records import TaskRecords
from shoal._core.process.waiting import CountWaiter, Reply
from shoal._core.schema.definitions import ActorTemplate, MethodTemplate, TaskTemplate
from shoal._core.schema.engine_limits import NATIVE
from shoal._core.schema.ids import TaskIds, object_id_of, task_of
from shoal._core.schema.messages import (
    ActorChanged,
    ActorRegistered,
    Answer,
    GaveBack,
    Hello,
    LeaseGranted,
    LeaseRefused,
    MetricRecorded,
    Notice,
    OutputLines,
    PreloadModules,
    Query,
    ReclaimLease,
    StreamItem,
    TasksDone,
    TasksRefused,
    Welcome,
    WorkerBlocked,
    WorkerDied,
    WorkerUnblocked,
)
from shoal._core.schema.options import ActorOptions, TaskOptions
from shoal._core.schema.resources import ResourceSet, SchedulingClass
from shoal._core.schema.runtime_environment import Environment, inherited_environment
from shoal._core.schema.session import ExecutionContext, SessionInfo
from shoal._core.system.event_loop import EventLoop, report_to_stderr
from shoal._core.system.serialization import serialize
from shoal._core.system.task_errors import dump_error, load_cause
from shoal._core.system.transport import Connection, connect
from shoal.exceptions import SessionEndedError, SessionStartError

HELLO_SECONDS = 20.0


class Client:
    """One process's part in a native session."""

    name = "native"
    capabilities = NATIVE.capabilities

    def __init__(self, *, worker_id: bytes, role: str, daemon_address: str, job_id: bytes, namespace: str) -> None:
        self.worker_id = worker_id
        self.role = role
        self.job_id = job_id
        self.namespace = namespace
        self.loop = EventLoop(report_to_stderr)
        listener_name = f"shoal-{worker_id.hex()}"
        self._hello = Hello(worker_id, role, os.getpid(), "unix:@" + listener_name, job_id, namespace)
        connection = connect(daemon_address, self.loop)
        connection.on_messages = self._from_node
        connection.on_close = self._node_gone
        self.daemon_address = daemon_address
        self.node = NodeLink(connection, self.loop)
        self.peers = Peers(self._hello, listener_name, self.loop, self._from_peer, self._peer_gone)
        self.references = References(worker_id, self.node, self.peers, self.loop, b"")
        self.references.on_blocked = self._blocked
        self.references.on_unblocked = self._unblocked
        self._callbacks = CallbackThread()
        self.references.run_callback = self._callbacks.run
        self._task_ids = TaskIds(worker_id)
        self._driver_task_id = self._task_ids.next()
        self.records = TaskRecords(job_id, b"")
        self.tasks = TaskOwner(
            self._task_ids,
            self.references,
            self.node,
            self.peers,
            self.loop,
            self.records,
            self._current_task_id,
            self._class_of_task,
        )
        self.records.running = lambda: list(self.tasks.running.values())
        self.actors = ActorCaller(
            self._task_ids,
            self.references,
            self.node,
            self.peers,
            self.loop,
            self.tasks,
            self._current_task_id,
            self._hello.address,
            job_id,
            namespace,
            self._class_of_actor,
        )
        self.references.on_awaited = self.actors.flush_all
        self.references.current_task = self._current_task_id
        self._welcome = Reply()
        self._thread = threading.Thread(target=self.loop.run, name="shoal-io", daemon=True)
        self._blocked_count = 0
        self._blocked_lock = threading.Lock()
        self._info: SessionInfo | None = None
        self._closing = False

        self.environment_json = "{}"
        self._pinned: dict[str, Environment] = {}
        self.gpu_ids: list[int] = []
        self.lease_resources: dict[str, int] = {}
        self.placement_group_id = b""
        self.capture_children = False
        self.actor_spec: Any = None
        self.in_async_actor = False
        self.was_reconstructed = False
        self.on_peer_message: Callable[[Peer, Any], None] = _ignore_peer
        self.on_node_message: Callable[[Any], None] = _ignore
        self.on_daemon_gone: Callable[[], None] = _nothing
        self.on_flush: Callable[[], None] = _nothing
        self.on_before_block: Callable[[], None] = _nothing
        self.on_output: Callable[[list[tuple[str, int, bool, str]]], None] = _ignore
        self.on_notice: Callable[[str], None] = _ignore

    # --- life ---------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to serve; returns once the daemon has said welcome. Raises SessionStartError."""
        self.peers.start()
        self.node.connection.send(self._hello)
        self.node.connection.start()
        self._thread.start()
        if not self._welcome.wait(HELLO_SECONDS):
            raise SessionStartError(f"the daemon at {self.daemon_address} did not answer within {HELLO_SECONDS:.0f} s")
        welcome = self._welcome.message
        if not isinstance(welcome, Welcome):
            raise SessionStartError(f"the daemon at {self.daemon_address} closed the connection")
        self._info = SessionInfo(
            engine=self.name,
            address=welcome.session_dir,
            session_dir=welcome.session_dir,
            node_id=welcome.node_id,
            node_ip=welcome.node_ip,
            job_id=self.job_id,
            worker_id=self.worker_id,
            namespace=self.namespace,
            joinable=welcome.joinable,
        )
        set_current_home(self.references)
        this = weakref.ref(self)

        def after_fork() -> None:
            client = this()
            if client is not None:
                client._void_in_forked_child()

        os.register_at_fork(after_in_child=after_fork)
        forked = weakref.WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: _call_if_alive(forked))

    def _forked(self) -> None:
        """This is a forked copy of the process: what it lets go of is still the original's."""
        reason = "this process was forked from the one that has the session"
        self._closing = True
        self.references.ended = reason
        self.node.cut(reason)
        set_current_home(None)

    def _void_in_forked_child(self) -> None:
        """A fork of this process shares its sockets, and must not use them: what it inherited of the session is void."""
        reason = "this process was forked from one with a shoal session; its references belong to that process"
        self._closing = True
        self.references.void(reason)
        self.node.void(reason)
        set_current_home(None)

    def flush(self) -> None:
        """Returns when what was sent so far has been handed to the kernel."""
        done = threading.Event()
        self.loop.call_soon(done.set)
        done.wait(1.0)

    def shutdown(self) -> None:
        """Leaves the session; references and handles made here are void from now on."""
        if self._closing:
            return
        self._closing = True
        reason = "the shoal session has ended"
        self.references.end(reason)
        self.tasks.end_streams()
        self.node.lost(reason)
        set_current_home(None)
        self._callbacks.stop()
        self.loop.call_soon(self._close_connections)
        self.loop.stop()
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self.loop.close()

    def _close_connections(self) -> None:
        self.peers.close()
        self.node.connection.close()

    @property
    def session(self) -> SessionInfo:
        assert self._info is not None
        return self._info

    # --- the IO thread --------------------------------------------------------------------------------------------------------

    def _from_node(self, connection: Connection, messages: list[Any]) -> None:
        for message in messages:
            kind = type(message)
            if self.node.handle(message):
                continue
            if kind is LeaseGranted:
                self.tasks.lease_granted(message)
            elif kind is ReclaimLease:
                self.tasks.lease_reclaimed(message.lease_id)
            elif kind is ActorChanged:
                self.actors.actor_changed(message)
            elif kind is WorkerDied:
                self.references.borrower_gone(message.worker_id)
                self.tasks.worker_died(message.worker_id, load_cause(message.cause))
            elif kind is LeaseRefused:
                self.tasks.lease_refused(message)
            elif kind is ActorRegistered:
                self.node.settle(message.request_id, message)
            elif kind is OutputLines:
                self.on_output(message.lines)
            elif kind is Notice:
                self.on_notice(message.text)
            elif kind is Query:
                self._answer(message)
            elif kind is Welcome:
                self.references._node_id = message.node_id
                self.records._node_id = message.node_id
                self._welcome.set(message)
            else:
                self.on_node_message(message)

    def _from_peer(self, peer: Peer, messages: list[Any]) -> None:
        for message in messages:
            kind = type(message)
            if kind is TasksDone:
                others = self.actors.calls_done(message.results, peer.worker_id)
                if others:
                    self.tasks.tasks_done(others, peer.worker_id)
                else:
                    self.references.run_due()
            elif self.references.handle(peer, message):
                continue
            elif kind is StreamItem:
                with self.references.lock:
                    task = self.tasks.running.get(message.task_id)
                    if task is not None and task.stream is not None:
                        task.stream.item_locked(message.index, message.value)
                self.references.run_due()
            elif kind is GaveBack:
                self.tasks.handed_back(message.task_ids, peer.worker_id)
            elif kind is TasksRefused:
                self.actors.calls_refused(message.task_ids)
            else:
                self.on_peer_message(peer, message)

    def _peer_gone(self, peer: Peer) -> None:
        if self._closing:
            return
        self.tasks.peer_gone(peer)
        self.actors.peer_gone(peer)
        self.references.peer_gone(peer)

    def _node_gone(self, connection: Connection) -> None:
        if self._welcome.message is None:
            self._welcome.set(None)
        if self._closing:
            return
        self.on_daemon_gone()
        reason = "the session's daemon has died: its processes and stored objects are gone; shoal.init() starts a new session"
        self.references.daemon_gone(reason)
        self.tasks.end_streams()
        self.node.lost(reason)

    def _answer(self, query: Query) -> None:
        """The daemon asks for what only this client knows."""
        try:
            if query.what == "tasks":
                value: Any = self.records.rows()
            elif query.what == "objects":
                value = self.references.rows()
            else:
                raise ValueError(f"a client has no answer to {query.what!r}")
        except Exception as error:
            self.node.send(Answer(query.request_id, None, dump_error(error)))
        else:
            self.node.send(Answer(query.request_id, value))

    # --- where code runs ------------------------------------------------------------------------------------------------------

    def _current_task_id(self) -> bytes:
        execution = current_execution.get()
        return execution.call.task_id if execution is not None else self._driver_task_id

    def context(self) -> ExecutionContext:
        execution = current_execution.get()
        spec = self.actor_spec
        resources = {name: amount / 10000 for name, amount in self.lease_resources.items()}
        if spec is not None:
            resources = {name: amount / 10000 for name, amount in spec.scheduling_class.resources.items()}
        return ExecutionContext(
            task_id=execution.call.task_id
            if execution is not None
            else (self._driver_task_id if self.role == "driver" else b""),
            task_name=execution.name if execution is not None else "",
            function_name=execution.function_name if execution is not None else "",
            actor_id=spec.actor_id if spec is not None else b"",
            actor_name=spec.name if spec is not None else "",
            attempt=execution.call.attempt if execution is not None else 0,
            is_driver=self.role != "worker",
            in_async_actor=self.in_async_actor,
            canceled=execution.canceled if execution is not None else False,
            was_reconstructed=self.was_reconstructed,
            resources=resources if self.role == "worker" else {},
            gpu_ids=self.gpu_ids,
            placement_group_id=self.placement_group_id,
            capture_child_tasks=self.capture_children,
            environment_json=self.environment_json,
        )

    def _blocked(self) -> None:
        """The calling thread is about to wait."""
        self.actors.flush_all()
        if self.role == "worker":
            self.on_before_block()
            with self._blocked_lock:
                self._blocked_count += 1
                if self._blocked_count == 1:
                    self.node.send(WorkerBlocked())

    def _unblocked(self) -> None:
        if self.role == "worker":
            with self._blocked_lock:
                self._blocked_count -= 1
                if self._blocked_count == 0:
                    self.node.send(WorkerUnblocked())

    # --- the engine: tasks and actors -------------------------------------------------------------------------------------------

    def submit_task(self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.tasks.submit(template, args, kwargs)

    def create_actor(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        return self.actors.create(template, args, kwargs)

    def call_actor(
        self, actor: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if actor._references is not self.references:
            raise SessionEndedError(
                f"the handle to actor {actor.template.definition.name} belongs to a shoal session that has ended"
            )
        return self.actors.call(actor, template, args, kwargs)

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        self.actors.kill(actor_id, no_restart)

    def named_actor(self, name: str, namespace: str | None) -> HeldActor:
        data = self.node.query("named_actor", name, namespace or self.namespace)
        return self.actors.load_handle(data)

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        rows = self.node.query("named_actors")
        return [(space, name) for space, name in rows if all_namespaces or space == self.namespace]

    def actor_parts(self, actor: HeldActor) -> tuple[Any, ...]:
        return self.actors.parts(actor)

    def rebuild_actor(self, parts: tuple[Any, ...]) -> HeldActor:
        return self.actors.rebuild(parts)

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        if isinstance(ref, StreamState):
            task_id = ref.task_id
        else:
            self.references.entry_of(ref)
            task_id = task_of(ref.binary())
        with self.references.lock:
            task = self.tasks.running.get(task_id)
            if task is not None:
                if task.fields is not None:
                    if force:
                        raise ValueError(
                            "force=True is not supported for actor calls; use shoal.kill(actor) to end the actor"
                        )
                    self.actors.cancel_locked(task, recursive)
                else:
                    self.tasks.cancel_locked(task, force, recursive)
        self.references.run_due()

    def request_of(self, task: Any) -> int:
        """The id of the lease request that a task waits for."""
        return self.tasks.request_of(task)

    def children_of(self, task_id: bytes) -> list[Task]:
        """Returns the calls that a task which runs here has made, and that are not over."""
        with self.references.lock:
            return self.tasks.children_of(task_id)

    def cancel_children(self, children: Sequence[Task]) -> None:
        """A task that runs here was cancelled with its children."""
        with self.references.lock:
            for task in children:
                if task.call.task_id not in self.tasks.running:
                    continue
                if task.fields is not None:
                    self.actors.cancel_locked(task, True)
                else:
                    self.tasks.cancel_locked(task, False, True)
        self.references.run_due()

    def current_actor(self) -> HeldActor:
        return self.actors.load_handle(self.actor_spec.handle_data)

    def exit_actor(self) -> None:
        from shoal._core.process.execution import WorkerExit

        raise WorkerExit(0, "exit_actor() was called")

    # --- the engine: objects ------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        return self.references.put(object_id_of(self._task_ids.next(), 0), value)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        return self.references.get(refs, timeout)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None, fetch_local: bool
    ) -> list[int]:
        return self.references.wait(refs, num_returns, timeout)

    def wait_with_streams(self, refs: Sequence[Any], num_returns: int, timeout: float | None) -> list[int]:
        references = self.references
        waiter = CountWaiter(0)

        def ready() -> list[int]:
            found = []
            for position, ref in enumerate(refs):
                if ref.next_is_ready() if isinstance(ref, StreamState) else references.entry_of(ref).kind >= 0:
                    found.append(position)
            return found[:num_returns]

        with references.lock:
            positions = ready()
            if len(positions) < num_returns:
                waiter.remaining = num_returns - len(positions)
                for position, ref in enumerate(refs):
                    if position in positions:
                        continue
                    if isinstance(ref, StreamState):
                        ref.await_locked(waiter)
                    else:
                        references.await_locked(ref._id, references.entry_of(ref), waiter)
        if waiter.remaining > 0 and (timeout is None or timeout > 0):
            references._block(waiter, [], [ref._id for ref in refs if not isinstance(ref, StreamState)], timeout, None)
        with references.lock:
            for ref in refs:
                if isinstance(ref, StreamState):
                    ref.stop_waiting_locked(waiter)
                else:
                    references._stop_waiting_locked(waiter, [references.entry_of(ref)])
            return ready()

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None:
        self.references.free(refs)

    def object_locations(self, refs: Sequence[ObjectRef[Any]]) -> list[dict[str, Any]]:
        rows = []
        for ref in refs:
            entry = self.references.entry_of(ref)
            rows.append(
                {"node_ids": [node.hex() for node in entry.nodes], "object_size": entry.size, "did_spill": False}
            )
        return rows

    # --- the engine: the cluster ------------------------------------------------------------------------------------------------------

    def total_resources(self) -> dict[str, float]:
        total: dict[str, float] = self.node.query("total_resources")
        return total

    def available_resources(self) -> dict[str, float]:
        available: dict[str, float] = self.node.query("available_resources")
        return available

    def nodes(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.node.query("nodes")
        return rows

    def create_placement_group(
        self,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        label_selectors: list[dict[str, str]],
    ) -> bytes:
        group_id: bytes = self.node.query(
            "create_placement_group", bundles, strategy, name, detached, label_selectors, self.namespace
        )
        return group_id

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        data = serialize(value).to_bytes()
        object_id = object_id_of(self._task_ids.next(), 0)
        references = self.references
        with references.lock:
            references.table.create(object_id)
        ref: ObjectRef[Any] = ObjectRef(object_id, references)
        request_id = self.node.next_request_id()

        def settled(answer: Any) -> None:
            with references.lock:
                if isinstance(answer, BaseException):
                    references.fail_locked(object_id, answer)
                else:
                    references.complete_answer_locked(object_id, answer, data)
            references.run_due()

        self.node.call_back(request_id, Query(request_id, "placement_group_ready", [group_id]), settled)
        return ref

    def remove_placement_group(self, group_id: bytes) -> None:
        self.node.query("remove_placement_group", group_id)

    def placement_groups(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.node.query("placement_groups")
        return rows

    def kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        return bool(self.node.query("kv_put", namespace, key, value, overwrite))

    def kv_get(self, namespace: str, key: bytes) -> bytes | None:
        value: bytes | None = self.node.query("kv_get", namespace, key)
        return value

    def kv_delete(self, namespace: str, key: bytes) -> bool:
        return bool(self.node.query("kv_delete", namespace, key))

    def kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        keys: list[bytes] = self.node.query("kv_keys", namespace, prefix)
        return keys

    def state(self, what: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.node.query("state", what)
        return rows

    def timeline(self) -> list[dict[str, Any]]:
        from shoal._core.process.task_timeline import chrome_trace

        return chrome_trace(self.state("tasks"))

    def record_metric(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None:
        self.node.send(MetricRecorded(kind, name, description, tags, value, boundaries))

    def preload(self, modules: Sequence[str]) -> None:
        self.node.send(PreloadModules(list(modules)))

    # --- classes ------------------------------------------------------------------------------------------------------------------------

    def _class_of_task(self, template: TaskTemplate) -> tuple[SchedulingClass, bytes]:
        return self._scheduling_class(template.options, template.options.resources)

    def _class_of_actor(self, template: ActorTemplate) -> tuple[SchedulingClass, bytes]:
        return self._scheduling_class(template.options, template.options.resources)

    def _scheduling_class(
        self, options: TaskOptions | ActorOptions, resources: ResourceSet
    ) -> tuple[SchedulingClass, bytes]:
        """The class of a template in this process, with what its tasks inherit from the one that submits them."""
        environment = self._environment(options.environment)
        scheduling_class = SchedulingClass.of(
            resources, environment.key, options.strategy, options.label_selector, options.fallback_strategy
        )
        return scheduling_class, environment.json if environment.key else b""

    def _environment(self, own: Environment | None) -> Environment:
        """What a task asks for itself over what it inherits, with its local files as they are now."""
        environment = inherited_environment(self.environment_json, own)
        if not environment.working_dir and not environment.py_modules:
            return environment
        pinned = self._pinned.get(environment.key)
        if pinned is None:
            from shoal._core.system.environment_files import pin_environment

            store = os.path.join(self.session.session_dir, "environments", "files")
            pinned = self._pinned[environment.key] = pin_environment(environment, store)
        return pinned


def _ignore(_: Any) -> None:
    return


def _ignore_peer(peer: Peer, message: Any) -> None:
    return


def _call_if_alive(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    function = method()
    if function is not None:
        function()


def _nothing() -> None:
    return
