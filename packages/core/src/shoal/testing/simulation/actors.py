"""A simulated client's side of actors: what `process/actor_caller.py` is for real, without concurrent actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shoal._core.logic.actors import ALIVE, DEAD, RESTARTING
from shoal._core.logic.call_queue import CallQueue
from shoal._core.logic.ownership import PENDING
from shoal._core.logic.tasks import PUSHED, READY, Task
from shoal._core.schema.ids import HANDLE_INDEX, TaskIds, object_id_of
from shoal._core.schema.messages import (
    ActorChanged,
    ActorSpec,
    CancelTask,
    CreateActor,
    KillActor,
    Message,
    PushActorCalls,
    ReleaseActor,
    TaskCall,
    TaskResult,
    WatchActor,
)
from shoal._core.schema.resources import SchedulingClass
from shoal.testing.simulation import values
from shoal.testing.simulation.network import Unreachable
from shoal.testing.simulation.objects import Objects, Ref, Waiting
from shoal.testing.simulation.peers import Peer, Peers
from shoal.testing.simulation.tasks import TaskKind, Tasks
from shoal.testing.simulation.values import Arguments, Failure, dump
from shoal.testing.simulation.witness import Witness

UNKNOWN = "UNKNOWN"


class ActorKind:
    """Options of an actor."""

    __slots__ = ("max_restarts", "max_task_retries", "scheduling_class")

    def __init__(self, scheduling_class: SchedulingClass, max_restarts: int, max_task_retries: int) -> None:
        self.scheduling_class = scheduling_class
        self.max_restarts = max_restarts
        self.max_task_retries = max_task_retries


class ActorLink:
    """What one client knows of one actor, and its calls on their way there."""

    __slots__ = (
        "actor_id",
        "calls_made",
        "end_error",
        "in_flight",
        "incarnation",
        "next_address",
        "peer",
        "queue",
        "state",
        "unheld",
    )

    def __init__(self, actor_id: bytes) -> None:
        self.actor_id = actor_id
        self.state = UNKNOWN
        self.incarnation = 0
        self.peer: Peer | None = None
        self.queue = CallQueue()
        self.in_flight: dict[bytes, Task] = {}
        self.end_error = b""
        self.next_address = ""
        self.unheld = False
        self.calls_made = 0


class Actors:
    """All actors that one client has created or calls."""

    def __init__(
        self,
        task_ids: TaskIds,
        objects: Objects,
        peers: Peers,
        to_node: Callable[[Message], None],
        tasks: Tasks,
        address: str,
        witness: Witness,
    ) -> None:
        self._task_ids = task_ids
        self._objects = objects
        self._peers = peers
        self._to_node = to_node
        self._tasks = tasks
        self._address = address
        self._witness = witness
        self.links: dict[bytes, ActorLink] = {}
        self._handles: dict[bytes, bytes] = {}
        self._creation_uses: dict[bytes, list[bytes]] = {}
        objects.on_handle_unheld = self._unheld

    # --- creating -----------------------------------------------------------------------------------------------------

    def create(self, actor_id: bytes, kind: ActorKind, dependencies: Sequence[Ref], inside: Sequence[Ref]) -> Ref:
        """Returns the first handle."""
        creation_task_id = self._task_ids.next()
        handle_id = object_id_of(creation_task_id, HANDLE_INDEX)
        spec = ActorSpec(
            actor_id=actor_id,
            creation_task_id=creation_task_id,
            owner_id=creation_task_id[:16],
            owner_address=self._address,
            job_id=b"job0",
            class_id=b"",
            class_data=b"",
            class_name="Actor",
            args=dump(Arguments(0, [ref.inner() for ref in inside])),
            deps=[],
            slots=list(range(len(dependencies))),
            scheduling_class=kind.scheduling_class,
            placement_resources={},
            environment=b"",
            name="",
            namespace="",
            detached=False,
            max_restarts=kind.max_restarts,
            max_concurrency=1,
            concurrency_groups={},
            is_async=False,
            out_of_order=False,
            handle_data=b"",
            max_task_retries=kind.max_task_retries,
        )
        self._objects.table.create(handle_id)
        ids = [ref.object_id for ref in dependencies]
        held = [*ids, *(ref.object_id for ref in inside)]
        if held:
            self._objects.table.use(held)
            self._creation_uses[actor_id] = held
        self._handles[handle_id] = actor_id
        self.links[actor_id] = ActorLink(actor_id)
        self._create_when_ready(spec, ids)
        self._to_node(WatchActor(actor_id))
        return Ref(self._objects, handle_id, actor_id)

    def _create_when_ready(self, spec: ActorSpec, dependencies: list[bytes]) -> None:
        entries = self._objects.table.entries
        for object_id in dependencies:
            if entries[object_id].kind == PENDING:
                waiting = Waiting(lambda: self._create_when_ready(spec, dependencies))
                self._objects.await_(object_id, entries[object_id], waiting)
                return
        spec.deps = [self._objects.value(object_id) for object_id in dependencies]
        self._to_node(CreateActor(0, spec, False))

    def _unheld(self, handle_id: bytes) -> None:
        actor_id = self._handles.pop(handle_id, None)
        if actor_id is None:
            return
        self._witness.released.add(actor_id)
        link = self.links.get(actor_id)
        if link is not None:
            link.unheld = True
            if link.state == DEAD:
                del self.links[actor_id]
        self._to_node(ReleaseActor(actor_id))

    def kill(self, actor_id: bytes, no_restart: bool) -> None:
        link = self.links.get(actor_id)
        if link is not None and link.state == ALIVE:
            link.state = UNKNOWN
        self._witness.actors_killed.add(actor_id)
        self._to_node(KillActor(actor_id, no_restart))

    # --- calling ------------------------------------------------------------------------------------------------------

    def call(
        self, handle: Ref, kind: TaskKind, depth: int, dependencies: Sequence[Ref], inside: Sequence[Ref], parent: bytes
    ) -> list[Ref]:
        actor_id = handle.actor_id
        link = self.links.get(actor_id)
        if link is None:
            link = self.links[actor_id] = ActorLink(actor_id)
            self._to_node(WatchActor(actor_id))
        link.calls_made += 1
        task_id = self._task_ids.next()
        call = TaskCall(task_id, b"call", b"", kind.num_returns, parent_task_id=parent)
        call.args = dump(Arguments(depth, [ref.inner() for ref in inside], link.calls_made))
        call.slots = list(range(len(dependencies)))
        task = Task(call, kind, kind.name, kind.max_retries)
        ids = [ref.object_id for ref in dependencies]
        task.uses = [*ids, *(ref.object_id for ref in inside), handle.object_id]
        task.fields = {"actor": link, "dependencies": ids}
        self._witness.submitted(task_id, kind.max_retries)
        refs = self._tasks.make_returns(task)
        self._objects.table.use(task.uses)
        self._tasks.running[task_id] = task
        self._enqueue(link, task, ids)
        self._objects.run_due()
        return refs

    def _enqueue(self, link: ActorLink, task: Task, dependencies: list[bytes]) -> None:
        if link.state == DEAD:
            self._tasks.fail_task(task, link.end_error)
            return
        entries = self._objects.table.entries
        for object_id in dependencies:
            if entries[object_id].kind == PENDING:
                task.waiting_for += 1
                waiting = Waiting(lambda: self._argument_ready(link, task))
                self._objects.await_(object_id, entries[object_id], waiting)
        link.queue.append(task)
        self._advance(link)

    def _argument_ready(self, link: ActorLink, task: Task) -> None:
        task.waiting_for -= 1
        if task.waiting_for == 0:
            self._advance(link)

    def _advance(self, link: ActorLink) -> None:
        """Sends calls whose arguments are there, in order."""
        if link.state != ALIVE or link.peer is None:
            return
        calls = []
        for task in link.queue.take_ready(in_order=True):
            assert task.fields is not None
            dependencies = task.fields["dependencies"]
            error = self._tasks.dependency_error(dependencies)
            if error is not None:
                self._tasks.fail_task(task, error)
                continue
            task.call.deps = [self._objects.value(object_id) for object_id in dependencies]
            task.state = PUSHED
            link.in_flight[task.call.task_id] = task
            calls.append(task.call)
        if calls:
            link.peer.send(PushActorCalls(link.actor_id, calls, link.incarnation))

    # --- what the actor and the head say ------------------------------------------------------------------------------

    def calls_done(self, results: list[TaskResult], worker_id: bytes) -> list[TaskResult]:
        """Takes the results of actor calls; returns those that are none."""
        others: list[TaskResult] = []
        for result in results:
            task = self._tasks.running.get(result.task_id)
            if task is None or task.fields is None:
                others.append(result)
                continue
            link: ActorLink = task.fields["actor"]
            link.in_flight.pop(result.task_id, None)
            if result.kept:
                self._objects.handed_on(result.kept, worker_id, task.uses)
            self._tasks.finish_task(task, result, worker_id)
        return others

    def actor_changed(self, message: ActorChanged) -> None:
        link = self.links.get(message.actor_id)
        if link is None or message.incarnation < link.incarnation:
            return
        link.incarnation = message.incarnation
        if message.state == ALIVE and link.peer is not None and not link.peer.closed:
            if link.peer.address != message.address:
                link.next_address = message.address
            return
        link.next_address = ""
        link.state = message.state
        if message.state == ALIVE:
            self._connect(link, message.address)
        elif message.state in (RESTARTING, DEAD):
            link.end_error = message.error
            if link.peer is None or link.peer.closed:
                self._ended(link)
            if message.state == DEAD:
                uses = self._creation_uses.pop(link.actor_id, [])
                self._objects.carry_out(self._objects.table.end_use(uses))
                if link.unheld:
                    self.links.pop(link.actor_id, None)
        self._objects.run_due()

    def _connect(self, link: ActorLink, address: str) -> None:
        link.end_error = b""
        try:
            link.peer = self._peers.connect_to(address)
        except Unreachable:
            link.state = UNKNOWN
            return
        self._advance(link)

    def peer_gone(self, peer: Peer) -> None:
        for link in list(self.links.values()):
            if link.peer is peer:
                link.peer = None
                if link.state in (RESTARTING, DEAD):
                    self._ended(link)
                    if link.next_address:
                        link.state = ALIVE
                        address, link.next_address = link.next_address, ""
                        self._connect(link, address)
                else:
                    link.state = UNKNOWN
        self._objects.run_due()

    def _ended(self, link: ActorLink) -> None:
        """A life of the actor is over: calls that were sent fail, unless they may be retried and there is another life."""
        link.peer = None
        dead = link.state == DEAD
        sent = list(link.in_flight.values())
        link.in_flight.clear()
        again = []
        for task in sent:
            if not dead and task.retries_left != 0 and not task.cancelled:
                self._tasks.count_retry(task)
                task.state = READY
                again.append(task)
            else:
                self._tasks.forget_results(task)
                self._tasks.fail_task(task, link.end_error)
        link.queue.put_back(again)
        if dead:
            for task in link.queue.take_all():
                self._tasks.fail_task(task, link.end_error)

    def calls_refused(self, task_ids: list[bytes]) -> None:
        for task_id in reversed(task_ids):
            task = self._tasks.running.get(task_id)
            if task is not None and task.fields is not None:
                link: ActorLink = task.fields["actor"]
                if link.in_flight.pop(task_id, None) is not None:
                    task.state = READY
                    link.queue.put_back([task])

    def cancel(self, task: Task, recursive: bool) -> None:
        assert task.fields is not None
        link: ActorLink = task.fields["actor"]
        task.cancelled = True
        task.retries_left = 0
        if task.call.task_id in link.in_flight:
            if link.peer is not None:
                link.peer.send(CancelTask(task.call.task_id, recursive))
            return
        link.queue.remove(task)
        self._tasks.fail_task(task, dump(Failure(values.CANCELLED, task.call.task_id)))
        self._advance(link)

    def left_over(self) -> list[str]:
        """Says what is still there when everything should have ended."""
        found = [f"handle {handle.hex()}" for handle in self._handles]
        found += [f"arguments of actor {actor_id.hex()}" for actor_id in self._creation_uses]
        found += [
            f"calls of actor {link.actor_id.hex()}" for link in self.links.values() if link.queue or link.in_flight
        ]
        return found
