"""The simulated daemon: node and head in one process (`process/node.py` and `process/head.py` for real)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal._core.logic.actors import ActorDirectory, Drain, EndWorker, Place, Publish, StopPlacing
from shoal._core.logic.actors import Effect as ActorEffect
from shoal._core.logic.lease_effects import Effect, Grant, Reclaim, Refuse, StartWorker, StopWorker
from shoal._core.logic.lease_queue import ACTOR
from shoal._core.logic.leases import Leases
from shoal._core.schema import messages
from shoal._core.schema.resources import ResourceSet
from shoal.exceptions import ActorDiedError, DeathCause
from shoal.testing.simulation import values
from shoal.testing.simulation.agenda import Agenda, Happening
from shoal.testing.simulation.network import End
from shoal.testing.simulation.store import Store
from shoal.testing.simulation.values import Failure, dump
from shoal.testing.simulation.witness import Violation


class WorkerProcess:
    """What the node knows of one worker."""

    __slots__ = ("address", "lease_token", "worker_id")

    def __init__(self, worker_id: bytes, lease_token: int) -> None:
        self.worker_id = worker_id
        self.lease_token = lease_token
        self.address = ""


class Daemon:
    """Node and head."""

    def __init__(
        self,
        agenda: Agenda,
        store: Store,
        node_id: bytes,
        resources: dict[str, int],
        start_worker: Callable[[], bytes],
        kill_worker: Callable[[bytes], None],
        on_life: Callable[[bytes, bytes], None],
    ) -> None:
        self.name = "daemon"
        self.alive = True
        self.node_id = node_id
        self.leases = Leases(node_id, resources)
        self.actors = ActorDirectory()
        self._agenda = agenda
        self._store = store
        self._start_worker = start_worker
        self._kill_worker = kill_worker
        self._on_life = on_life
        self._clients: dict[bytes, End] = {}
        self._addresses: dict[bytes, str] = {}
        self.workers: dict[bytes, WorkerProcess] = {}
        self._lost: set[bytes] = set()
        self._deaths: set[bytes] = set()
        self._waiting_for_death: dict[bytes, list[bytes]] = {}
        self._actor_requests: dict[int, messages.ActorSpec] = {}
        self._last_actor_request = 0
        self._timer: Happening | None = None

    # --- clients ------------------------------------------------------------------------------------------------------

    def receive(self, end: End, message: Any) -> None:
        if isinstance(message, messages.Hello):
            self._welcome(end, message)
        elif end.label is not None:
            self._handle(end.label, message)

    def _welcome(self, end: End, hello: messages.Hello) -> None:
        client = end.label = hello.worker_id
        self._clients[client] = end
        self._addresses[client] = hello.address
        end.send(messages.Welcome(self.node_id, "", "", "", False, {}, {}))
        worker = self.workers.get(client)
        if worker is not None and client not in self._lost:
            worker.address = hello.address
            self._carry_out(self.leases.worker_ready(client, "", self._agenda.now, worker.lease_token))

    def _handle(self, client: bytes, message: Any) -> None:
        now = self._agenda.now
        leases = self.leases
        if isinstance(message, messages.RequestLease):
            self._carry_out(
                leases.request(client, message.request_id, message.scheduling_class, message.count, message.name, now)
            )
        elif isinstance(message, messages.ReturnLease):
            reusable = message.reusable
            for lost in self._lost:
                lease = leases.lease_of(lost)
                if lease is not None and lease.id == message.lease_id:
                    reusable = False
            self._carry_out(leases.lease_returned(message.lease_id, now, reusable))
        elif isinstance(message, messages.CancelLeaseRequest):
            self._carry_out(leases.cancel_request(client, message.request_id, now))
        elif isinstance(message, messages.WorkerBlocked):
            self._carry_out(leases.worker_blocked(client, now))
        elif isinstance(message, messages.WorkerUnblocked):
            self._carry_out(leases.worker_unblocked(client, now))
        elif isinstance(message, messages.FreeObjects):
            for object_id in message.object_ids:
                self._store.free(object_id)
        elif isinstance(message, messages.KillWorker):
            self._kill_worker(message.worker_id)
        elif isinstance(message, messages.StillNeeded):
            self._carry_out(leases.worker_kept(client, now))
        elif isinstance(message, messages.NotNeeded):
            if leases.is_retired(client):
                self._send(client, messages.AskToLeave())
        elif isinstance(message, messages.WhyDied):
            self._why_died(client, message.worker_id)
        else:
            self._head_handle(client, message)

    def _send(self, client: bytes, message: messages.Message) -> None:
        end = self._clients.get(client)
        if end is not None:
            end.send(message)

    def closed(self, end: End) -> None:
        client: bytes | None = end.label
        if client is None:
            return
        self._clients.pop(client, None)
        self._store.owner_gone(client)
        self._carry_out(self.leases.client_gone(client, self._agenda.now))
        if client in self.workers:
            self._lost.add(client)
            if self.leases.lease_of(client) is None:
                self._carry_out(self.leases.worker_died(client, self._agenda.now))

    # --- workers ------------------------------------------------------------------------------------------------------

    def worker_ended(self, worker_id: bytes) -> None:
        """The fork server has reaped it."""
        worker = self.workers.pop(worker_id)
        self._deaths.add(worker_id)
        self._lost.discard(worker_id)
        self._waiting_for_death.pop(worker_id, None)
        if not worker.address:
            self._carry_out(self.leases.start_failed(worker.lease_token, "it died", self._agenda.now))
        else:
            self._carry_out(self.leases.worker_died(worker_id, self._agenda.now))
        for client in list(self._clients):
            self._send(client, messages.WorkerDied(worker_id, b""))
        now = self._agenda.now
        self._head_carry_out(self.actors.worker_died(worker_id, DeathCause("it died"), now))
        self._head_carry_out(self.actors.client_gone(worker_id, now))

    def _why_died(self, client: bytes, worker_id: bytes) -> None:
        if worker_id in self.workers:
            self._waiting_for_death.setdefault(worker_id, []).append(client)
        else:
            self._send(client, messages.WorkerDied(worker_id, b""))

    # --- the scheduler's effects --------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Grant):
                self._grant(effect)
            elif isinstance(effect, StartWorker):
                worker_id = self._start_worker()
                self.workers[worker_id] = WorkerProcess(worker_id, effect.token)
            elif isinstance(effect, StopWorker):
                if effect.force:
                    self._kill_worker(effect.worker_id)
                elif effect.worker_id not in self._lost:
                    self._send(effect.worker_id, messages.AskToLeave())
            elif isinstance(effect, Reclaim):
                self._send(effect.client, messages.ReclaimLease(effect.lease_id))
            elif isinstance(effect, Refuse):
                raise Violation(f"a request is refused: {effect.explanation}", effect.client)
        due = self.leases.next_deadline()
        if due is not None and (self._timer is None or self._timer.when > due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._agenda.at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._carry_out(self.leases.tick(self._agenda.now))

    def _grant(self, effect: Grant) -> None:
        worker = self.workers.get(effect.worker_id)
        if worker is None:
            return
        if effect.client == self.node_id:
            self._start_actor(effect)
            return
        self._send(
            effect.client,
            messages.LeaseGranted(
                effect.request_id, effect.lease_id, effect.worker_id, worker.address, [], effect.remaining
            ),
        )

    # --- actors -------------------------------------------------------------------------------------------------------

    def _start_actor(self, effect: Grant) -> None:
        spec = self._actor_requests.pop(effect.request_id, None)
        if spec is None:
            self._carry_out(self.leases.lease_returned(effect.lease_id, self._agenda.now))
            return
        if not self.actors.placed(spec.actor_id, effect.worker_id, 0):
            self._kill_worker(effect.worker_id)
            return
        self._on_life(spec.actor_id, effect.worker_id)
        self._send(effect.worker_id, messages.StartActor(spec, 0, []))

    def _head_handle(self, client: bytes, message: Any) -> None:
        now = self._agenda.now
        if isinstance(message, messages.WatchActor):
            self._head_carry_out(self.actors.watch(message.actor_id, client))
        elif isinstance(message, messages.CreateActor):
            self._head_carry_out(self.actors.create(message.spec, now))
        elif isinstance(message, messages.KillActor):
            self._head_carry_out(self.actors.kill(message.actor_id, message.no_restart, now))
        elif isinstance(message, messages.ReleaseActor):
            self._head_carry_out(self.actors.released(message.actor_id, now))
        elif isinstance(message, messages.ActorExiting):
            self.actors.exiting(message.actor_id, message.reason)
        elif isinstance(message, messages.ActorStarted):
            if message.error:
                error = ActorDiedError(error_msg="its constructor raised", actor_id=message.actor_id.hex())
                self._head_carry_out(self.actors.start_failed(message.actor_id, error, now, client))
            else:
                address = self._addresses[client]
                self._head_carry_out(self.actors.started(message.actor_id, client, address, ""))
        else:
            raise AssertionError(f"the daemon has no use for {message!r}")

    def _head_carry_out(self, effects: list[ActorEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                record = effect.record
                actor_id = record.spec.actor_id
                error = dump(Failure(values.ACTOR_DIED, actor_id)) if record.error is not None else b""
                changed = messages.ActorChanged(actor_id, record.state, record.address, record.incarnation, error)
                for watcher in effect.watchers:
                    self._send(watcher, changed)
            elif isinstance(effect, Place):
                self._place(effect.record.spec)
            elif isinstance(effect, EndWorker):
                self._kill_worker(effect.worker_id)
            elif isinstance(effect, Drain):
                self._send(effect.worker_id, messages.DrainActor(effect.actor_id))
            elif isinstance(effect, StopPlacing):
                self._stop_placing(effect.actor_id)

    def _place(self, spec: messages.ActorSpec) -> None:
        self._last_actor_request += 1
        self._actor_requests[self._last_actor_request] = spec
        self._carry_out(
            self.leases.request(
                self.node_id,
                self._last_actor_request,
                spec.scheduling_class,
                1,
                spec.class_name,
                self._agenda.now,
                ACTOR,
                ResourceSet.of_units(spec.placement_resources),
            )
        )

    def _stop_placing(self, actor_id: bytes) -> None:
        for request_id, spec in list(self._actor_requests.items()):
            if spec.actor_id == actor_id:
                del self._actor_requests[request_id]
                self._carry_out(self.leases.cancel_request(self.node_id, request_id, self._agenda.now))

    # --- looking inside -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.leases.check()
        self.actors.check()

    def left_over(self) -> list[str]:
        """Says what is still there when everything should have ended."""
        found = []
        total, available = self.leases.total(), self.leases.available()
        if total != available:
            found.append(f"of {total} just {available} is free")
        if self.leases.demand():
            found.append(f"somebody waits for leases: {self.leases.demand()}")
        found += [f"object {object_id.hex()} is in the store" for object_id in self._store.blocks]
        found += [
            self.actors.story(actor_id) for actor_id, record in self.actors.actors.items() if record.state != "DEAD"
        ]
        found += [f"{worker_id.hex()} is held lost" for worker_id in self._lost]
        return found
