"""A simulated client: what the driver and every worker has (`process/client.py` for real)."""

from __future__ import annotations

from random import Random
from typing import Any

from shoal._core.schema.ids import TaskIds, object_id_of
from shoal._core.schema.messages import (
    ActorChanged,
    GaveBack,
    Hello,
    LeaseGranted,
    LeaseRefused,
    Message,
    ReclaimLease,
    TasksDone,
    TasksRefused,
    Welcome,
    WorkerBlocked,
    WorkerDied,
    WorkerUnblocked,
)
from shoal.testing.simulation.actors import Actors
from shoal.testing.simulation.agenda import Agenda
from shoal.testing.simulation.network import End, Network
from shoal.testing.simulation.objects import Objects, Ref
from shoal.testing.simulation.peers import Peer, Peers
from shoal.testing.simulation.store import Store
from shoal.testing.simulation.tasks import Tasks
from shoal.testing.simulation.values import Value
from shoal.testing.simulation.witness import Witness

DAEMON = "daemon"


class Surroundings:
    """What all processes of one simulated session share."""

    __slots__ = ("agenda", "network", "node_id", "random", "store", "witness")

    def __init__(
        self, agenda: Agenda, network: Network, random: Random, store: Store, witness: Witness, node_id: bytes
    ) -> None:
        self.agenda = agenda
        self.network = network
        self.random = random
        self.store = store
        self.witness = witness
        self.node_id = node_id


class Client:
    """One process's part in a session."""

    def __init__(self, around: Surroundings, worker_id: bytes, role: str) -> None:
        self.worker_id = worker_id
        self.role = role
        self.name = worker_id.decode()
        self.alive = True
        self.address = f"unix:@shoal-{worker_id.hex()}"
        self.around = around
        self.agenda = around.agenda
        self._hello = Hello(worker_id, role, 0, self.address, b"job0")
        around.network.listen(self.address, self)
        self._node_end: End | None = None
        self.peers = Peers(around.network, self, self._hello)
        self.objects = Objects(
            worker_id,
            self.address,
            around.node_id,
            self.peers,
            around.store,
            self.to_node,
            lambda action: self.soon(action),
            around.witness,
        )
        self._task_ids = TaskIds(worker_id)
        self._blocked_count = 0
        self.tasks = Tasks(
            self._task_ids, self.objects, self.peers, self.to_node, self.agenda, around.witness, lambda: self.alive
        )
        self.actors = Actors(
            self._task_ids, self.objects, self.peers, self.to_node, self.tasks, self.address, around.witness
        )

    def join(self) -> None:
        """Says hello to the daemon."""
        self._node_end = self.around.network.connect(DAEMON, self)
        self._node_end.send(self._hello)

    def soon(self, action: Any) -> None:
        def act() -> None:
            if self.alive:
                action()

        self.agenda.after(0.0, act)

    def to_node(self, message: Message) -> None:
        assert self._node_end is not None
        self._node_end.send(message)

    # --- the network --------------------------------------------------------------------------------------------------

    def receive(self, end: End, message: Any) -> None:
        if end is self._node_end:
            self._from_node(message)
            return
        peer = self.peers.greeted(end, message)
        if peer is not None:
            self._from_peer(peer, message)

    def closed(self, end: End) -> None:
        peer = self.peers.gone(end)
        if peer is not None:
            self.tasks.peer_gone(peer)
            self.actors.peer_gone(peer)
            self.objects.peer_gone(peer)

    def _from_node(self, message: Any) -> None:
        if isinstance(message, LeaseGranted):
            self.tasks.lease_granted(message)
        elif isinstance(message, ReclaimLease):
            self.tasks.lease_reclaimed(message.lease_id)
        elif isinstance(message, ActorChanged):
            self.actors.actor_changed(message)
        elif isinstance(message, WorkerDied):
            self.objects.carry_out(self.objects.table.borrower_gone(message.worker_id))
            self.tasks.worker_died(message.worker_id)
        elif isinstance(message, LeaseRefused):
            self.tasks.lease_refused(message)
        elif not isinstance(message, Welcome):
            self.on_node_message(message)

    def _from_peer(self, peer: Peer, message: Any) -> None:
        if isinstance(message, TasksDone):
            others = self.actors.calls_done(message.results, peer.worker_id)
            if others:
                self.tasks.tasks_done(others, peer.worker_id)
            self.objects.run_due()
        elif self.objects.handle(peer, message):
            return
        elif isinstance(message, GaveBack):
            self.tasks.handed_back(message.task_ids, peer.worker_id)
        elif isinstance(message, TasksRefused):
            self.actors.calls_refused(message.task_ids)
        else:
            self.on_peer_message(peer, message)

    def on_node_message(self, message: Any) -> None:
        raise AssertionError(f"{self.name} has no use for {message!r}")

    def on_peer_message(self, peer: Peer, message: Any) -> None:
        raise AssertionError(f"{self.name} has no use for {message!r}")

    # --- what programs do ---------------------------------------------------------------------------------------------

    def put(self, refs: list[Ref], stored: bool) -> Ref:
        object_id = object_id_of(self._task_ids.next(), 0)
        value = Value(self.around.random.getrandbits(32), [ref.inner() for ref in refs])
        self.around.witness.made(object_id, value.token)
        return self.objects.put(object_id, value, stored)

    def cancel(self, ref: Ref, force: bool, recursive: bool) -> None:
        task = self.tasks.running.get(ref.object_id[:24])
        if task is not None:
            self.around.witness.cancelled.add(task.call.task_id)
            if task.fields is not None:
                self.actors.cancel(task, recursive)
            else:
                self.tasks.cancel(task, force, recursive)
        self.objects.run_due()

    def cancel_children(self, task_id: bytes) -> None:
        for task in self.tasks.children_of(task_id):
            if task.fields is not None:
                self.actors.cancel(task, True)
            else:
                self.tasks.cancel(task, False, True)
        self.objects.run_due()

    def before_block(self) -> None:
        """The program is about to wait: nothing else may wait with it."""

    def blocked(self) -> None:
        if self.role == "worker":
            self.before_block()
            self._blocked_count += 1
            if self._blocked_count == 1:
                self.to_node(WorkerBlocked())

    def unblocked(self) -> None:
        if self.role == "worker":
            self._blocked_count -= 1
            if self._blocked_count == 0:
                self.to_node(WorkerUnblocked())

    # --- looking inside -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.objects.table.check()
        self.tasks.check()

    def left_over(self) -> list[str]:
        """Says what is still there when everything should have ended."""
        found = [self.objects.table.story(object_id) for object_id in self.objects.table.entries]
        return found + self.tasks.left_over() + self.actors.left_over()
