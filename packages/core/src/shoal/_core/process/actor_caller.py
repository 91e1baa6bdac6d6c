"""The client's side of actors: handles counted, calls sent in order straight to the actor's process, restarts and deaths followed.

One `ActorLink` for each actor that this client calls. Where an actor is and how it fares, the head says
(`ActorChanged`); calls wait in the link
until it is alive.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

from shoal._core.logic.call_queue import CallQueue
from shoal._core.logic.ownership import PENDING
from shoal._core.logic.tasks import PUSHED, READY, Task
from shoal._core.process.arguments import pack_arguments, resolve_dependencies_locked
from shoal._core.process.node_link import NodeLink
from shoal._core.process.peers import Peer, Peers
from shoal._core.process.references import References
from shoal._core.process.task_owner import TaskOwner, cancelled
from shoal._core.schema.definitions import ActorTemplate, MethodTemplate
from shoal._core.schema.ids import HANDLE_INDEX, TaskIds, new_id, object_id_of
from shoal._core.schema.messages import (
    ERROR,
    ActorChanged,
    ActorSpec,
    CancelTask,
    CreateActor,
    KillActor,
    PushActorCalls,
    ReleaseActor,
    TaskCall,
    TaskResult,
    WatchActor,
)
from shoal._core.system.event_loop import EventLoop
from shoal._core.system.serialization import deserialize, serialize
from shoal._core.system.task_errors import dump_error
from shoal._core.system.transport import ConnectionClosed
from shoal.exceptions import ActorAlreadyExistsError, PendingCallsLimitExceeded

BURST_SECONDS = 0.001
"""A call to an actor that has others of ours waits so long for company, unless its caller begins to wait."""
BURST_CALLS = 64


class HeldActor:
    """A hold on an actor (see `api/engine.ActorRef`): while counted ones exist anywhere, the actor lives."""

    __slots__ = ("_references", "actor_id", "handle_object_id", "owner_address", "template", "weak")

    def __init__(
        self,
        actor_id: bytes,
        template: ActorTemplate,
        handle_object_id: bytes,
        owner_address: str,
        references: References,
    ) -> None:
        self.actor_id = actor_id
        self.template = template
        self.handle_object_id = handle_object_id
        self.owner_address = owner_address
        self.weak = not handle_object_id
        self._references = references

    def __del__(self) -> None:
        if self.handle_object_id:
            self._references.drop_ref(self.handle_object_id)

    def binary(self) -> bytes:
        """The id under which holds are counted (what `note_ref` collects)."""
        return self.handle_object_id


class ActorLink:
    """What this client knows of one actor, and its calls on their way there."""

    __slots__ = (
        "actor_id",
        "address",
        "end_error",
        "in_flight",
        "incarnation",
        "max_pending_calls",
        "max_task_retries",
        "name",
        "next_address",
        "out_of_order",
        "outbox",
        "peer",
        "queue",
        "state",
        "unheld",
    )

    def __init__(self, actor_id: bytes, template: ActorTemplate) -> None:
        self.actor_id = actor_id
        self.state = "UNKNOWN"
        self.address = ""
        self.incarnation = 0
        self.peer: Peer | None = None
        self.queue = CallQueue()
        """Not sent: waiting for arguments, or for the actor."""
        self.outbox: list[Task] = []
        """About to be sent in one frame."""
        self.in_flight: dict[bytes, Task] = {}
        self.end_error = b""
        self.next_address = ""
        """Where its next life is, while the end of the last one's connection, with the last results, is still to come."""
        self.unheld = False
        """No counted hold is left, so nobody can call it any more."""
        self.name = template.definition.name
        self.max_task_retries = template.options.max_task_retries
        self.max_pending_calls = template.options.max_pending_calls
        self.out_of_order = is_out_of_order(template)


def is_out_of_order(template: ActorTemplate) -> bool:
    """True for actors whose calls may overtake one another: async and threaded ones, unless asked otherwise."""
    options = template.options
    if options.allow_out_of_order_execution is not None:
        return options.allow_out_of_order_execution
    return template.is_async or (options.max_concurrency or 1) > 1 or bool(options.concurrency_groups)


class ActorCaller:
    """All actors that one client has created or calls."""

    def __init__(
        self,
        task_ids: TaskIds,
        references: References,
        node: NodeLink,
        peers: Peers,
        loop: EventLoop,
        owner: TaskOwner,
        current_task: Callable[[], bytes],
        own_address: str,
        job_id: bytes,
        default_namespace: str,
        class_of: Callable[[ActorTemplate], tuple[Any, bytes]],
    ) -> None:
        self._task_ids = task_ids
        self._references = references
        self._lock = references.lock
        self._node = node
        self._peers = peers
        self._loop = loop
        self._owner = owner
        self._current_task = current_task
        self._own_address = own_address
        self._job_id = job_id
        self._default_namespace = default_namespace
        self._class_of = class_of
        self._links: dict[bytes, ActorLink] = {}
        self._handles: dict[bytes, bytes] = {}
        """Handle object id -> actor id, of the actors that this client created."""
        self._creation_uses: dict[bytes, list[bytes]] = {}
        """What constructors' arguments need, while the actor may be made (again)."""
        self._dirty: set[ActorLink] = set()
        self._flush_armed = False
        references.on_actor_unheld = self._unheld

    # --- creating -----------------------------------------------------------------------------------------------------------------

    def create(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        actor_id = new_id()
        creation_task_id = self._task_ids.next()
        handle_object_id = object_id_of(creation_task_id, HANDLE_INDEX)
        options = template.options
        packed = pack_arguments(
            args,
            kwargs,
            self._references,
            self._owner._new_object_id,
            None,
            template.definition.name,
        )
        scheduling_class, environment = self._class_of(template)
        namespace = options.namespace or self._default_namespace
        is_async = template.is_async
        spec = ActorSpec(
            actor_id=actor_id,
            creation_task_id=creation_task_id,
            owner_id=creation_task_id[:16],
            owner_address=self._own_address,
            job_id=self._job_id,
            class_id=template.definition.id,
            class_data=template.definition.data,
            class_name=template.definition.name,
            args=packed.data,
            deps=[],
            slots=packed.slots,
            scheduling_class=scheduling_class,
            placement_resources=dict(options.placement_resources),
            environment=environment,
            name=options.name,
            namespace=namespace,
            detached=options.detached,
            max_restarts=options.max_restarts,
            max_concurrency=options.max_concurrency or (1000 if is_async else 1),
            concurrency_groups=options.concurrency_groups,
            is_async=is_async,
            out_of_order=is_out_of_order(template),
            handle_data=dump_handle(actor_id, template),
            max_task_retries=options.max_task_retries,
        )
        link = ActorLink(actor_id, template)
        with self._lock:
            self._references.table.create(handle_object_id)
            if packed.held:
                self._references.table.use(packed.held)
                self._creation_uses[actor_id] = packed.held
            self._handles[handle_object_id] = actor_id
            self._links[actor_id] = link
        held = HeldActor(actor_id, template, handle_object_id, "", self._references)
        if options.name:
            request_id = self._node.next_request_id()
            self._resolve_now(spec, packed.dependencies)
            reply = self._node.call(request_id, CreateActor(request_id, spec, options.get_if_exists))
            if reply.existed:
                with self._lock:
                    # Nothing was created, so there is nothing to release when `held` goes.
                    del self._handles[handle_object_id], self._links[actor_id]
                    self._let_arguments_go_locked(actor_id)
                if not options.get_if_exists:
                    raise ActorAlreadyExistsError(
                        f"an actor named {options.name!r} exists already in namespace {namespace!r}; "
                        "use get_if_exists=True to get it, or another name"
                    )
                return self.load_handle(reply.handle_data)
        else:
            self._create_when_ready(spec, packed.dependencies)
        self._node.send(WatchActor(actor_id))
        return held

    def _resolve_now(self, spec: ActorSpec, dependencies: list[bytes]) -> None:
        """A named actor is registered before `.remote()` returns, so its constructor's arguments are waited for here."""
        if dependencies:
            from shoal._core.process.object_ref import ObjectRef

            for object_id in dependencies:
                with self._lock:
                    self._references.table.refer(object_id, "")
                self._references.wait([ObjectRef(object_id, self._references)], 1, None)
            with self._lock:
                spec.deps = [self._references.value_locked(object_id) for object_id in dependencies]

    def _create_when_ready(self, spec: ActorSpec, dependencies: list[bytes]) -> None:
        with self._lock:
            waiting = [item for item in dependencies if self._references.table.entries[item].kind == PENDING]
            if waiting:
                entry = self._references.table.entries[waiting[0]]
                self._references.call_when_ready_locked(
                    waiting[0], entry, lambda: self._create_when_ready(spec, dependencies)
                )
                return
            spec.deps = [self._references.value_locked(object_id) for object_id in dependencies]
        self._node.send(CreateActor(0, spec, False))

    # --- handles ------------------------------------------------------------------------------------------------------------------

    def parts(self, held: HeldActor) -> tuple[Any, ...]:
        owner_address = held.owner_address or (self._own_address if held.handle_object_id else "")
        return dump_handle(held.actor_id, held.template), held.handle_object_id, owner_address

    def rebuild(self, parts: tuple[Any, ...]) -> HeldActor:
        data, handle_object_id, owner_address = parts
        actor_id, template = pickle.loads(data)
        if handle_object_id:
            references = self._references
            with self._lock:
                entry = references.table.refer(handle_object_id, owner_address)
                owner_address = entry.owner_address
            arrived = getattr(references._borrowed_here, "ids", None)
            if arrived is not None:
                arrived.append(handle_object_id)
        return HeldActor(actor_id, template, handle_object_id, owner_address, self._references)

    def load_handle(self, handle_data: bytes) -> HeldActor:
        """Returns a weak hold, from what the head keeps for look-ups by name."""
        actor_id, template = pickle.loads(handle_data)
        return HeldActor(actor_id, template, b"", "", self._references)

    def _unheld(self, handle_object_id: bytes) -> None:
        """No counted hold is left anywhere (a call in flight is one): the actor ends. Under the lock."""
        actor_id = self._handles.pop(handle_object_id, None)
        if actor_id is None:
            return
        link = self._links.get(actor_id)
        if link is not None:
            link.unheld = True
            self._forget_locked(link)
        self._node.send(ReleaseActor(actor_id))

    def kill(self, actor_id: bytes, no_restart: bool) -> None:
        with self._lock:
            link = self._links.get(actor_id)
            if link is not None and link.state == "ALIVE":
                # Later calls must not reach the life that is about to end: they wait for the head's word.
                link.state = "UNKNOWN"
        self._node.send(KillActor(actor_id, no_restart))

    # --- calling ------------------------------------------------------------------------------------------------------------------

    def call(self, held: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        options = template.options
        link = self._links.get(held.actor_id)
        if link is None:
            link = self._watch(held)
        if (
            link.max_pending_calls >= 0
            and len(link.queue) + len(link.outbox) + len(link.in_flight) >= link.max_pending_calls
        ):
            raise PendingCallsLimitExceeded(
                f"actor {link.name} has {link.max_pending_calls} pending calls, its max_pending_calls; "
                "wait for some of them before calling again"
            )
        task_id = self._task_ids.next()
        call = TaskCall(task_id, template.name.encode(), b"", options.num_returns)
        retries = options.max_task_retries if options.max_task_retries is not None else link.max_task_retries
        task = Task(call, template, f"{link.name}.{template.name}", retries)
        call.parent_task_id = self._current_task()
        call.group = options.concurrency_group
        dependencies: list[bytes] = []
        keep = None
        if args or kwargs:
            packed = pack_arguments(args, kwargs, self._references, self._owner._new_object_id, None, task.name)
            call.args = packed.data
            call.slots = packed.slots
            dependencies = packed.dependencies
            task.uses = packed.held
            keep = packed.keep
        if options.name:
            task.name = call.name = options.name
        if held.handle_object_id:
            # The actor must outlive the call, whatever becomes of the handle.
            task.uses = [*task.uses, held.handle_object_id]
        task.submitted = time.time()
        task.actor_id = link.actor_id
        task.fields = {"actor": link, "dependencies": dependencies}
        references = self._references
        with self._lock:
            self._owner.make_returns_locked(task, options.num_returns, options.generator_backpressure)
            if task.uses:
                references.table.use(task.uses)
            self._owner.running[task_id] = task
            self._enqueue_locked(link, task, dependencies)
            if references._dropped:
                references.drain_dropped_locked()
        if references._due:
            references.run_due()
        del keep
        return self._owner.refs_of(task)

    def _watch(self, held: HeldActor) -> ActorLink:
        with self._lock:
            link = self._links.get(held.actor_id)
            if link is None:
                link = self._links[held.actor_id] = ActorLink(held.actor_id, held.template)
        self._node.send(WatchActor(held.actor_id))
        return link

    def _enqueue_locked(self, link: ActorLink, task: Task, dependencies: list[bytes]) -> None:
        if link.state == "DEAD":
            self._owner.fail_task_locked(task, link.end_error)
            return
        if self._references.ended is not None:
            self._owner.fail_task_locked(task, dump_error(self._references.end_error()))
            return
        if dependencies:
            entries = self._references.table.entries
            waiting = 0
            for object_id in dependencies:
                entry = entries[object_id]
                if entry.kind == PENDING:
                    waiting += 1
                    self._references.call_when_ready_locked(object_id, entry, lambda: self._argument_ready(link, task))
            task.waiting_for = waiting
        if task.waiting_for == 0 and not link.queue and link.state == "ALIVE" and link.peer is not None:
            self._send_locked(link, [task])
        else:
            link.queue.append(task)
            self._advance_locked(link)

    def _argument_ready(self, link: ActorLink, task: Task) -> None:
        with self._lock:
            task.waiting_for -= 1
            if task.waiting_for == 0:
                self._advance_locked(link)
        self.flush_all()
        self._references.run_due()

    def _advance_locked(self, link: ActorLink) -> None:
        """Moves calls whose arguments are there to the outbox, in order where the actor keeps order."""
        if link.state != "ALIVE" or link.peer is None:
            return
        self._send_locked(link, link.queue.take_ready(in_order=not link.out_of_order))

    def _send_locked(self, link: ActorLink, ready: list[Task]) -> None:
        outbox = link.outbox
        for task in ready:
            assert task.fields is not None
            dependencies = task.fields["dependencies"]
            if dependencies:
                error = self._owner.dependency_error_locked(dependencies)
                if error is not None:
                    self._owner.fail_task_locked(task, error)
                    continue
                resolve_dependencies_locked(task.call, dependencies, self._references)
            outbox.append(task)
        if not outbox:
            return
        if not link.in_flight or len(outbox) >= BURST_CALLS:
            self._flush_locked(link)
            return
        self._dirty.add(link)
        if not self._flush_armed:
            self._flush_armed = True
            self._loop.call_soon(self._flush_tick)

    def flush_all(self) -> None:
        """Sends what waits for company; called before the user's code waits for anything."""
        if not self._dirty:
            return
        with self._lock:
            while self._dirty:
                self._flush_locked(self._dirty.pop())

    def _flush_tick(self) -> None:
        """While calls follow one another, the loop looks after each millisecond: nothing waits longer for company."""
        if self._dirty:
            self.flush_all()
            self._loop.call_later(BURST_SECONDS, self._flush_tick)
        else:
            self._flush_armed = False
            if self._dirty:
                self._flush_armed = True
                self._loop.call_soon(self._flush_tick)

    def _flush_locked(self, link: ActorLink) -> None:
        tasks = link.outbox
        if not tasks:
            return
        if link.peer is None or link.state != "ALIVE":
            link.queue.put_back(tasks)
            link.outbox = []
            return
        link.outbox = []
        calls = []
        for task in tasks:
            task.state = PUSHED
            assert task.fields is not None
            task.fields["peer"] = link.peer
            link.in_flight[task.call.task_id] = task
            calls.append(task.call)
        link.peer.send(PushActorCalls(link.actor_id, calls, link.incarnation))

    # --- what the actor and the head say ---------------------------------------------------------------------------------------------

    def calls_done(self, results: list[TaskResult], worker_id: bytes) -> list[TaskResult]:
        """Takes the results of actor calls; returns those that are none."""
        others: list[TaskResult] = []
        with self._lock:
            running = self._owner.running
            for result in results:
                task = running.get(result.task_id)
                if task is None or task.fields is None:
                    others.append(result)
                    continue
                link: ActorLink = task.fields["actor"]
                link.in_flight.pop(result.task_id, None)
                if result.kept:
                    self._references.borrows.handed_on(result.kept, worker_id, task.uses)
                retry_exceptions = task.template.options.retry_exceptions
                if result.kind == ERROR and self._owner.shall_retry(task, result, retry_exceptions):
                    self._owner.count_retry(task)
                    task.state = READY
                    link.queue.put_back([task])
                    self._advance_locked(link)
                    continue
                self._owner.finish_task_locked(task, result, worker_id)
        return others

    def actor_changed(self, message: ActorChanged) -> None:
        with self._lock:
            link = self._links.get(message.actor_id)
            if link is None or message.incarnation < link.incarnation:
                return
            link.incarnation = message.incarnation
            if message.state == "ALIVE" and link.peer is not None and not link.peer.connection.closed:
                if link.address != message.address:
                    link.next_address = message.address
                return
            link.next_address = ""
            link.state = message.state
            if message.state == "ALIVE":
                self._connect_locked(link, message.address)
            elif message.state in ("RESTARTING", "DEAD"):
                link.end_error = message.error
                if link.peer is None or link.peer.connection.closed:
                    self._ended_locked(link)
                if message.state == "DEAD":
                    self._let_arguments_go_locked(link.actor_id)
                    self._forget_locked(link)
        self._references.run_due()

    def _connect_locked(self, link: ActorLink, address: str) -> None:
        link.address = address
        link.end_error = b""
        try:
            link.peer = self._peers.connect_to(address)
        except ConnectionClosed:
            link.state = "UNKNOWN"  # it died just now; the head will say so
            return
        self._advance_locked(link)
        self._flush_locked(link)

    def peer_gone(self, peer: Peer) -> None:
        with self._lock:
            for link in tuple(self._links.values()):  # a life's end may be the last that anybody wanted of the actor
                if link.peer is peer:
                    link.peer = None
                    if link.state in ("RESTARTING", "DEAD"):
                        self._ended_locked(link)
                        self._forget_locked(link)
                        if link.next_address:
                            link.state = "ALIVE"
                            address, link.next_address = link.next_address, ""
                            self._connect_locked(link, address)
                    else:
                        link.state = "UNKNOWN"  # the head will say what it is now, and why
        self._references.run_due()

    def _ended_locked(self, link: ActorLink) -> None:
        """A life of the actor is over: calls that were sent fail, unless they may be retried and there is another life."""
        link.peer = None
        dead = link.state == "DEAD"
        sent = list(link.in_flight.values())
        link.in_flight.clear()
        again = []
        for task in sent:
            if not dead and task.retries_left != 0 and not task.cancelled:
                self._owner.count_retry(task)
                task.state = READY
                again.append(task)
            else:
                self._owner.forget_results(task)
                self._owner.fail_task_locked(task, link.end_error)
        link.queue.put_back(again)
        if dead:
            waiting = [*link.outbox, *link.queue.take_all()]
            link.outbox = []
            for task in waiting:
                self._owner.fail_task_locked(task, link.end_error)

    def _forget_locked(self, link: ActorLink) -> None:
        """Forgets an actor that is dead and that nobody holds, once the calls that it had are over: handles found by its name can make some
        although no counted hold is left."""
        if link.unheld and link.state == "DEAD" and link.peer is None:
            self._links.pop(link.actor_id, None)

    def _let_arguments_go_locked(self, actor_id: bytes) -> None:
        uses = self._creation_uses.pop(actor_id, None)
        if uses:
            self._references.carry_out_locked(self._references.table.end_use(uses))

    def calls_refused(self, task_ids: list[bytes]) -> None:
        """The process at that address is not the actor any more: the calls wait for its next life."""
        with self._lock:
            for task_id in reversed(task_ids):
                task = self._owner.running.get(task_id)
                if task is not None and task.fields is not None:
                    link: ActorLink = task.fields["actor"]
                    if link.in_flight.pop(task_id, None) is not None:
                        task.state = READY
                        link.queue.put_back([task])

    # --- cancelling --------------------------------------------------------------------------------------------------------------------

    def cancel_locked(self, task: Task, recursive: bool) -> None:
        assert task.fields is not None
        link: ActorLink = task.fields["actor"]
        task.cancelled = True
        task.retries_left = 0
        if task.call.task_id in link.in_flight:
            if link.peer is not None:
                link.peer.send(CancelTask(task.call.task_id, recursive))
            return
        link.queue.remove(task)
        if task in link.outbox:
            link.outbox.remove(task)
        self._owner.fail_task_locked(task, dump_error(cancelled(task)))
        self._advance_locked(link)


def dump_handle(actor_id: bytes, template: ActorTemplate) -> bytes:
    """Pickles what a handle needs elsewhere: everything but the class itself."""
    data = template.handle_data
    if data is None:
        bare = template.without_definition_data()
        # By value where it must be: options may name exception classes of the program itself.
        data = template.handle_data = serialize(bare).to_bytes()
    return pickle.dumps((actor_id, _Nested(data)), protocol=5)


class _Nested:
    """A pickled value inside a pickle: unpickles to the value, without being pickled again each time."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return deserialize, (self._data,)
