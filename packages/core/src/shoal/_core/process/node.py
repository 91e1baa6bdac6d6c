"""The node: this machine's daemon. Accepts clients, lends workers, keeps the store, explains deaths, and passes on what is the head's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from shoal._core.logic.lease_effects import (
    GROUP_REMOVED,
    INFEASIBLE,
    UNSCHEDULABLE,
    BundlesPrepared,
    BundlesRefused,
    Effect,
    Grant,
    LeaseLost,
    PassOn,
    Reclaim,
    Refuse,
    RoomForGroup,
    StartWorker,
    StopWorker,
    WarnInfeasible,
    WarnWaiting,
)
from shoal._core.logic.lease_queue import ACTOR
from shoal._core.logic.leases import Leases
from shoal._core.process.environment_keeper import EnvironmentKeeper
from shoal._core.process.machine_guard import MachineGuard
from shoal._core.process.memory_guard import MemoryGuard
from shoal._core.process.node_store import NodeStore
from shoal._core.process.state_rows import StateRows
from shoal._core.process.workers import WorkerProcess, WorkerProcesses
from shoal._core.schema import messages
from shoal._core.schema.daemon_config import DaemonConfig
from shoal._core.schema.resources import MEMORY, UNIT, ResourceSet
from shoal._core.schema.worker_config import WorkerConfig
from shoal._core.system.event_loop import EventLoop, Timer
from shoal._core.system.fork_server import ForkServer
from shoal._core.system.session_folder import SessionFolder
from shoal._core.system.task_errors import dump_cause, dump_error
from shoal._core.system.transport import Connection, ConnectionClosed, Listener
from shoal._core.system.worker_output import OutputLine
from shoal.exceptions import (
    ActorPlacementGroupRemoved,
    ActorUnschedulableError,
    DeathCause,
    InfeasibleResourcesError,
    RuntimeEnvSetupError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    UnsupportedError,
)


class ClientPeer:
    """A client of this node: a driver, a worker, or a command that looks."""

    __slots__ = ("connection", "hello")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.hello: messages.Hello | None = None

    @property
    def worker_id(self) -> bytes:
        assert self.hello is not None
        return self.hello.worker_id


class Node:
    """Served by the daemon's loop; single-threaded."""

    def __init__(
        self,
        config: DaemonConfig,
        node_id: bytes,
        loop: EventLoop,
        fork_server: ForkServer,
        worker_entry: str,
    ) -> None:
        self.config = config
        self.node_id = node_id
        self._loop = loop
        self.labels = {"ray.io/node-id": node_id.hex(), "shoal.io/node-id": node_id.hex(), **config.labels}
        self._folder = SessionFolder(config.session_dir, config.lock_fd)
        self.started = time.time()
        self.leases = Leases(node_id, config.resources, self.labels, config.joinable)
        self.store = NodeStore(
            config.object_store_bytes, config.spill_dirs or [config.session_dir], config.store_patience, loop
        )
        self.environments = EnvironmentKeeper(
            loop,
            os.path.join(config.session_dir, "environments"),
            worker_entry,
            config.sys_path,
            self._environment_ready,
            self._environment_failed,
        )
        self._worker_entry = worker_entry
        self.workers = WorkerProcesses(
            fork_server,
            loop,
            self._folder.logs,
            self._worker_config,
            self._worker_died,
            self._worker_start_failed,
            self._worker_output,
            self._fork_server_died,
            self._launch_fork_server,
            config.node_ip,
            config.machine_memory,
        )
        self._memory = MemoryGuard(
            loop,
            config.object_store_bytes,
            lambda worker_id, reason: self.workers.end(worker_id, reason, over_memory=True),
        )
        self._machine_guard = MachineGuard(
            loop,
            config.memory_refresh_seconds,
            config.memory_threshold,
            self._busy_workers,
            lambda worker_id, reason: self.workers.end(worker_id, reason, over_memory=True),
        )
        self.workers.killed_for_memory = self._memory.killed_by_kernel
        self.workers.on_lost = self._worker_lost
        self._lost: set[bytes] = set()
        """Workers that are about to end, as far as is known: nothing more is given to them."""
        self._asyncio_preloaded = False
        self._limited: dict[int, bytes] = {}
        """Lease -> worker, of those with a memory limit."""
        self.clients: dict[bytes, ClientPeer] = {}
        self._listener = Listener.from_fd(config.listen_fd, config.listen_name, loop, self._accepted)
        self._waiting_for_death: dict[bytes, list[bytes]] = {}
        """Dead or dying worker -> clients that asked why."""
        self._actor_requests: dict[int, messages.ActorSpec] = {}
        self._actor_incarnations: dict[int, int] = {}
        self._next_actor_request = 1
        self._timer: Timer | None = None
        self._state = StateRows(self)
        self._shutting_down = False
        self._head_joined: Callable[[messages.Hello], None]
        self._head_handle: Callable[[bytes, Any], bool]
        self._to_head: Callable[[Any], None]
        self.head_rows: Callable[[str], list[dict[str, Any]]]

    # --- life ---------------------------------------------------------------------------------------------------------------

    def attach_head(
        self,
        joined: Callable[[messages.Hello], None],
        handle: Callable[[bytes, Any], bool],
        to_head: Callable[[Any], None],
        head_rows: Callable[[str], list[dict[str, Any]]],
    ) -> None:
        """The head that shares this process."""
        self.head_rows = head_rows
        self._head_joined = joined
        self._head_handle = handle
        self._to_head = to_head

    def start(self) -> None:
        """Begins to serve; on the loop's thread, before it runs."""
        self._listener.start()
        self._tell_resources()
        self._carry_out(self.leases.prestart(self.config.prestart))

    def shut_down(self) -> None:
        """Ends all workers, and removes all that the session has left."""
        self._shutting_down = True
        self.environments.close()
        self.workers.stop()
        self._listener.close()
        while self.workers.running:
            self._loop._run_once()
        self.store.close()
        self._folder.remove()

    def _worker_config(self, worker_id: bytes, env_key: str) -> WorkerConfig:
        return WorkerConfig(
            worker_id=worker_id,
            daemon_address=self._listener.address,
            job_id=self.config.job_id,
            namespace=self.config.namespace,
            environment_json=self.environments.json(env_key) if env_key else "{}",
            setup_hook=self.environments.setup_hook(env_key),
            logging=self.config.logging,
        )

    def _launch_fork_server(self, env_key: str) -> ForkServer:
        if env_key:
            return self.environments.launch(env_key)
        return ForkServer.launch(self._worker_entry, self.config.preload, sys_path=self.config.sys_path)

    # --- environments ---------------------------------------------------------------------------------------------------------

    def _need_environment(self, key: str, environment_json: bytes) -> None:
        """Somebody is about to ask for workers in an environment: it is made, if it is not there."""
        if not self.environments.need(key, environment_json):
            self._carry_out(self.leases.environment_pending(key, time.monotonic()))

    def _environment_ready(self, key: str) -> None:
        self._carry_out(self.leases.environment_ready(key, time.monotonic()))

    def _environment_failed(self, key: str, reason: str) -> None:
        self._carry_out(self.leases.environment_failed(key, reason, time.monotonic()))

    # --- clients --------------------------------------------------------------------------------------------------------------

    def _accepted(self, connection: Connection) -> None:
        connection.peer = ClientPeer(connection)
        connection.on_messages = self._receive
        connection.on_close = self._client_closed

    def _receive(self, connection: Connection, received: list[Any]) -> None:
        peer: ClientPeer = connection.peer
        for message in received:
            if type(message) is messages.Hello:
                self._welcome(peer, message)
            elif peer.hello is not None:
                self._handle(peer, message)

    def _welcome(self, peer: ClientPeer, hello: messages.Hello) -> None:
        peer.hello = hello
        self.clients[hello.worker_id] = peer
        config = self.config
        self._send(
            peer,
            messages.Welcome(
                self.node_id,
                config.node_ip,
                config.session_dir,
                config.session_name,
                config.joinable,
                config.resources,
                self.labels,
            ),
        )
        self.store.client_joined(hello.worker_id, peer.connection)
        self._head_joined(hello)
        if hello.role == "worker" and hello.worker_id not in self._lost:
            worker = self.workers.connected(hello.worker_id, peer.connection, hello.address)
            if worker is not None:
                self._carry_out(
                    self.leases.worker_ready(hello.worker_id, worker.env_key, time.monotonic(), worker.lease_token)
                )

    def _handle(self, peer: ClientPeer, message: Any) -> None:
        client = peer.worker_id
        kind = type(message)
        now = time.monotonic()
        if kind is messages.RequestLease:
            self._need_environment(message.scheduling_class.environment_key, message.environment)
            self._carry_out(
                self.leases.request(
                    client, message.request_id, message.scheduling_class, message.count, message.name, now
                )
            )
        elif kind is messages.ReturnLease:
            self._lease_returned(message.lease_id, message.reusable, now)
        elif kind is messages.CancelLeaseRequest:
            self._carry_out(self.leases.cancel_request(client, message.request_id, now))
        elif kind is messages.WorkerBlocked:
            self._carry_out(self.leases.worker_blocked(client, now))
        elif kind is messages.WorkerUnblocked:
            self._carry_out(self.leases.worker_unblocked(client, now))
        elif self.store.handle(client, message):
            return
        elif kind is messages.KillWorker:
            self.workers.end(message.worker_id, message.reason)
        elif kind is messages.PreloadModules:
            self.workers.preload(message.modules)
        elif kind is messages.StillNeeded:
            worker = self.workers.by_id.get(client)
            if worker is not None:
                worker.intended = None
            self._carry_out(self.leases.worker_kept(client, now))
        elif kind is messages.NotNeeded:
            # An idle one may be lent any moment; it is asked again in its time.
            if self.leases.is_retired(client):
                self._send(peer, messages.AskToLeave())
        elif kind is messages.Notice:
            self.tell_drivers(message.text)
        elif kind is messages.WhyDied:
            self._why_died(client, message.worker_id)
        elif kind is messages.Query and self._state.answers(message.what):
            self._state.answer(client, message)
        elif kind is messages.Answer:
            self._state.answered(client, message)
        elif not self._head_handle(client, message) and kind is messages.Query:
            error = UnsupportedError(f"the question {message.what!r}")
            self._send(peer, messages.Answer(message.request_id, None, dump_error(error)))

    def _lease_returned(self, lease_id: int, reusable: bool, now: float) -> None:
        limited = self._limited.pop(lease_id, None)
        if limited is not None:
            worker = self.workers.by_id.get(limited)
            if worker is not None:
                self._memory.unlimit(limited, worker.pid)
            # Its control group stays around it, so it is of no use to others.
            reusable = False
        for lost in self._lost:
            lease = self.leases.lease_of(lost)
            if lease is not None and lease.id == lease_id:
                reusable = False
        self._carry_out(self.leases.lease_returned(lease_id, now, reusable))

    def _client_closed(self, connection: Connection) -> None:
        peer: ClientPeer = connection.peer
        if peer.hello is None:
            return
        client = peer.worker_id
        self.clients.pop(client, None)
        self.store.client_gone(client)
        role = peer.hello.role
        self._carry_out(self.leases.client_gone(client, time.monotonic()))
        if role == "driver" and peer.hello.pid == self.config.driver_pid:
            self._loop.stop()
        if role == "worker":
            self._worker_lost(client)
        else:
            cause = DeathCause(f"the {role} has left the session", pid=peer.hello.pid)
            self._to_head(messages.ClientEnded(client, role, dump_cause(cause)))
        self._state.client_gone(client)

    def send_to_client(self, client: bytes, message: Any) -> None:
        """Sends to a client, if it is (still) there."""
        peer = self.clients.get(client)
        if peer is not None:
            self._send(peer, message)

    def _send(self, peer: ClientPeer, message: Any) -> None:
        try:
            peer.connection.send(message)
        except ConnectionClosed:
            return  # `_client_closed` follows

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(delay, callback)

    def drivers(self) -> list[ClientPeer]:
        return [peer for peer in self.clients.values() if peer.hello is not None and peer.hello.role == "driver"]

    def tell_drivers(self, text: str) -> None:
        for peer in self.drivers():
            self._send(peer, messages.Notice(text))

    # --- the ledger's effects --------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Grant):
                self._grant(effect)
            elif isinstance(effect, StartWorker):
                self._start_worker(effect)
            elif isinstance(effect, StopWorker):
                self._stop_worker(effect)
            elif isinstance(effect, Reclaim):
                self.send_to_client(effect.client, messages.ReclaimLease(effect.lease_id))
            elif isinstance(effect, Refuse):
                self._refuse(effect.client, effect.request_id, _refusal(effect))
            elif isinstance(effect, WarnInfeasible):
                self.tell_drivers(effect.explanation)
            elif isinstance(effect, WarnWaiting):
                if effect.stuck:
                    self.tell_drivers(effect.explanation)
            elif isinstance(effect, BundlesPrepared):
                self._to_head(messages.BundlesPrepared(self.node_id, effect.group_id, True))
            elif isinstance(effect, BundlesRefused):
                self._tell_resources()
                self._to_head(messages.BundlesPrepared(self.node_id, effect.group_id, False))
            elif isinstance(effect, RoomForGroup):
                self._tell_resources()
                self._to_head(messages.RoomForGroup(effect.group_id))
            elif isinstance(effect, (LeaseLost, PassOn)):
                continue  # deaths are told by `_worker_died`; there is no other node yet
        due = self.leases.next_deadline()
        if due is not None and (self._timer is None or self._timer.cancelled or self._timer.when > due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._carry_out(self.leases.tick(time.monotonic()))

    def _start_worker(self, effect: StartWorker) -> None:
        if self._shutting_down:
            # The fork server has been told to end: nobody would ever say what became of this one.
            return
        worker = self.workers.start(effect.environment_key)
        worker.lease_token = effect.token

    def _stop_worker(self, effect: StopWorker) -> None:
        if effect.force:
            self.workers.end(effect.worker_id, effect.reason)
            return
        worker = self.workers.by_id.get(effect.worker_id)
        if worker is not None and worker.worker_id not in self._lost:
            worker.intended = effect.reason
            self.send_to_client(effect.worker_id, messages.AskToLeave())

    def _grant(self, effect: Grant) -> None:
        worker = self.workers.by_id.get(effect.worker_id)
        if worker is None:
            return
        memory = effect.resources.get(MEMORY)
        if memory:
            self._limited[effect.lease_id] = effect.worker_id
            self._memory.limit(worker.worker_id, worker.pid, memory // UNIT)
        self._machine_guard.work_began()
        if effect.client == self.node_id:
            self._start_actor(effect, worker)
            return
        self.send_to_client(
            effect.client,
            messages.LeaseGranted(
                effect.request_id,
                effect.lease_id,
                effect.worker_id,
                worker.address,
                self._gpu_names(effect),
                effect.remaining,
            ),
        )

    def _gpu_names(self, effect: Grant) -> list[int]:
        """The machine's own numbers of the GPUs."""
        return [self.config.gpu_ids[index] for index in effect.gpu_ids]

    def _refuse(self, client: bytes, request_id: int, error: Exception) -> None:
        if client == self.node_id:
            spec = self._actor_requests.pop(request_id, None)
            if spec is not None:
                self._to_head(messages.ActorUnplaceable(spec.actor_id, dump_error(error)))
            return
        self.send_to_client(client, messages.LeaseRefused(request_id, dump_error(error)))

    # --- placement groups -----------------------------------------------------------------------------------------------------

    def _tell_resources(self) -> None:
        view = self.leases.view()
        self._to_head(messages.NodeChanged(self.node_id, view.total, view.available, view.labels))

    def _bundles_from_head(self, message: Any) -> bool:
        """Takes what the head says about bundles. Returns False for all else."""
        now = time.monotonic()
        leases = self.leases
        if isinstance(message, messages.ReserveBundles):
            bundles = {index: ResourceSet.of_units(units) for index, units in message.bundles.items()}
            self._carry_out(leases.prepare_bundles(message.group_id, bundles, now))
        elif isinstance(message, messages.CommitBundles):
            self._carry_out(leases.commit_bundles(message.group_id, message.indices, now))
            self._to_head(messages.BundlesCommitted(self.node_id, message.group_id))
        elif isinstance(message, messages.ReturnBundles):
            self._carry_out(leases.return_bundles(message.group_id, message.indices, now))
            self._tell_resources()
        elif isinstance(message, messages.GroupRemoved):
            self._carry_out(leases.group_removed(message.group_id, now))
            self._tell_resources()
        elif isinstance(message, messages.WantRoom):
            if message.bundles:
                wanted = [ResourceSet.of_units(units) for units in message.bundles]
                self._carry_out(leases.want_room(message.group_id, message.name, wanted, now))
            else:
                self._carry_out(leases.unwant_room(message.group_id, now))
        else:
            return False
        return True

    # --- actors ----------------------------------------------------------------------------------------------------------------

    def from_head(self, message: Any) -> None:
        """Takes what the head says."""
        kind = type(message)
        if self._bundles_from_head(message):
            return
        if kind is messages.PlaceActor:
            self._place_actor(message)
        elif kind is messages.StopPlacingActor:
            for request_id, spec in list(self._actor_requests.items()):
                if spec.actor_id == message.actor_id:
                    del self._actor_requests[request_id]
                    self._carry_out(self.leases.cancel_request(self.node_id, request_id, time.monotonic()))
        elif kind is messages.KillWorker:
            self.workers.end(message.worker_id, message.reason)

    def _place_actor(self, message: messages.PlaceActor) -> None:
        request_id = self._next_actor_request
        self._next_actor_request += 1
        self._actor_requests[request_id] = message.spec
        self._actor_incarnations[request_id] = message.incarnation
        self._need_environment(message.spec.scheduling_class.environment_key, message.spec.environment)
        if message.spec.is_async and not self._asyncio_preloaded:
            # From the second async actor on they find it imported.
            self._asyncio_preloaded = True
            self.workers.preload(["asyncio"])
        self._carry_out(
            self.leases.request(
                self.node_id,
                request_id,
                message.spec.scheduling_class,
                1,
                message.spec.class_name,
                time.monotonic(),
                ACTOR,
                ResourceSet.of_units(message.spec.placement_resources),
            )
        )

    def _start_actor(self, effect: Grant, worker: WorkerProcess) -> None:
        spec = self._actor_requests.pop(effect.request_id, None)
        incarnation = self._actor_incarnations.pop(effect.request_id, 0)
        if spec is None:
            self._carry_out(self.leases.lease_returned(effect.lease_id, time.monotonic()))
            return
        worker.title = spec.class_name
        self._to_head(messages.ActorPlaced(spec.actor_id, worker.worker_id, worker.pid))
        self.send_to_client(worker.worker_id, messages.StartActor(spec, incarnation, self._gpu_names(effect)))

    def _busy_workers(self) -> Iterator[tuple[bytes, int]]:
        for worker in self.workers.by_id.values():
            if worker.pid and worker.intended is None and self.leases.lease_of(worker.worker_id) is not None:
                yield worker.worker_id, worker.pid

    # --- workers' ends -----------------------------------------------------------------------------------------------------------

    def _worker_lost(self, worker_id: bytes) -> None:
        """A worker's process ends, and how is told later: if it is idle, it is lent no more; if not, its lease ends with it."""
        if worker_id in self.workers.by_id and not self._shutting_down:
            self._lost.add(worker_id)
            if self.leases.lease_of(worker_id) is None:
                self._carry_out(self.leases.worker_died(worker_id, time.monotonic()))

    def _worker_died(self, worker: WorkerProcess, death: DeathCause) -> None:
        self._lost.discard(worker.worker_id)
        for lease_id in [lease_id for lease_id, limited in self._limited.items() if limited == worker.worker_id]:
            del self._limited[lease_id]
        self._memory.unlimit(worker.worker_id, worker.pid)
        cause = dump_cause(death)
        self._waiting_for_death.pop(worker.worker_id, None)
        # The scheduler first: what the others ask for when they hear of it must not be given to the dead. When all ends nobody is told:
        # the head would make actors again that may be restarted.
        if not self._shutting_down:
            if worker.connection is None and worker.lease_token is not None:
                self._worker_start_failed(worker, death.explain())
            else:
                self._carry_out(self.leases.worker_died(worker.worker_id, time.monotonic()))
            for client in list(self.clients):
                self.send_to_client(client, messages.WorkerDied(worker.worker_id, cause))
            self._to_head(messages.ClientEnded(worker.worker_id, "worker", cause))

    def _worker_start_failed(self, worker: WorkerProcess, error: str) -> None:
        self._lost.discard(worker.worker_id)
        if worker.start_again and worker.lease_token is not None and not self._shutting_down:
            self.workers.start(worker.env_key).lease_token = worker.lease_token
        elif worker.lease_token is not None:
            text = f"no worker could be started: {error}"
            self._carry_out(self.leases.start_failed(worker.lease_token, text, time.monotonic()))

    def _fork_server_died(self, end: str) -> None:
        if not self._shutting_down:
            self.tell_drivers(f"the fork server ended ({end}), and its workers with it; a new one has been started")

    def _why_died(self, client: bytes, worker_id: bytes) -> None:
        death = self.workers.deaths.get(worker_id)
        if death is not None:
            self.send_to_client(client, messages.WorkerDied(worker_id, dump_cause(death)))
        elif worker_id in self.workers.by_id:
            self._waiting_for_death.setdefault(worker_id, []).append(client)
        else:
            cause = dump_cause(DeathCause("it is not known to this node"))
            self.send_to_client(client, messages.WorkerDied(worker_id, cause))

    def _worker_output(self, lines: list[OutputLine]) -> None:
        for peer in self.drivers():
            self._send(peer, messages.OutputLines(lines))


def _refusal(effect: Refuse) -> Exception:
    """The error that those get who wait for what can never be."""
    if effect.why == INFEASIBLE:
        return InfeasibleResourcesError(effect.explanation)
    if effect.why == UNSCHEDULABLE:
        error_class = ActorUnschedulableError if effect.kind == ACTOR else TaskUnschedulableError
        return error_class(effect.explanation)
    if effect.why == GROUP_REMOVED:
        group_class = ActorPlacementGroupRemoved if effect.kind == ACTOR else TaskPlacementGroupRemoved
        return group_class(effect.explanation)
    return RuntimeEnvSetupError(effect.explanation)
