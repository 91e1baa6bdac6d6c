"""Leases of one node: who may use which worker and which resources, and who waits.

A life: a client *requests* leases of a scheduling class. When it is its turn and there is room, resources are taken; when a
worker of the right environment is idle (or has been started), the lease is *granted*. A task's lease ends when the client
*returns* it or the worker dies; an actor's when the worker dies. A task that waits *lends* its CPU (never its GPUs) and takes it
back when it goes on, which may leave the node owing CPU: nobody gets any until that is worked off. Nested gets never deadlock.

    waiting -> (resources taken) starting -> granted -> returned | lost
       |                            |           |
       +---- cancelled, refused ----+           +-> lent <-> granted

Who waits gets leases back from those who have many (`reclaiming`), is preferred or may claim after a while (`lease_patience`), and is
told who holds what it needs (`lease_explanations`). A request that can never be met is refused at once; where nodes may join the session it
is kept, and the user warned.

Every event takes `now` (seconds of any clock that only goes forward) and returns the effects, in order. Events about what is gone already are
ignored: a lease may be returned while the news of its worker's death is on the way.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence

from shoal._core.logic.lease_effects import (
    ENVIRONMENT,
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
from shoal._core.logic.lease_explanations import (
    Explanation,
    describe_lease,
    explain_start,
    explain_wait,
    infeasible_in_group,
)
from shoal._core.logic.lease_patience import WARN_AFTER, Patience
from shoal._core.logic.lease_queue import ACTOR, GROUP, TASK, ClassQueue, Lease, Party, Request
from shoal._core.logic.ledger import Ledger, Pot
from shoal._core.logic.reclaiming import choose_leases_to_reclaim
from shoal._core.logic.scheduling import Infeasible, NodeView, Placed, Wait, choose_node
from shoal._core.logic.worker_pool import KILL, Worker, WorkerPool
from shoal._core.schema.resources import CPU, UNIT, DefaultStrategy, ResourceSet, SchedulingClass, SpreadStrategy
from shoal.exceptions import ShoalSystemError

IDLE_WORKER_SECONDS = 1.0
START_ATTEMPTS = 3
HISTORY = 2000
REMOVED_GROUPS_KNOWN = 10_000


class Leases:
    """The scheduler of one node.

    Args:
        node_id: this node.
        total: what it has, in ten-thousandths.
        labels: of this node.
        joinable: other nodes may join the session.
        warm_workers: how many idle workers are kept; as many as there are CPUs by default.
    """

    def __init__(
        self,
        node_id: bytes,
        total: Mapping[str, int],
        labels: Mapping[str, str] | None = None,
        joinable: bool = False,
        warm_workers: int | None = None,
    ) -> None:
        cpus = max(1, total.get(CPU, 0) // UNIT)
        self.node_id = node_id
        self._labels = dict(labels or {})
        self._joinable = joinable
        self._ledger = Ledger(total)
        self._pool = WorkerPool(cpus if warm_workers is None else warm_workers, max(4, 2 * cpus))
        self._patience = Patience()
        self._queues: dict[Hashable, ClassQueue] = {}
        self._turns: OrderedDict[ClassQueue, None] = OrderedDict()
        """Queues in which somebody waits, next first."""
        self._requests: dict[tuple[bytes, int], Request] = {}
        """Those that have grants to come."""
        self._parties: dict[bytes, dict[ClassQueue, Party]] = {}
        """Client -> its parties."""
        self._leases: dict[int, Lease] = {}
        self._starting: dict[str, OrderedDict[int, Lease]] = {}
        """Environment -> leases that have resources and wait for a worker."""
        self._unready: set[str] = set()
        """Environments that are being made."""
        self._failures: dict[str, int] = {}
        """Environment -> workers that did not start, in a row."""
        self._infeasible: dict[tuple[bytes, int], tuple[Request, ClassQueue]] = {}
        self._removed_groups: dict[bytes, None] = {}
        self._others: tuple[NodeView, ...] = ()
        self._last_lease_id = 0
        self._turn = 0
        self._history: deque[tuple[float, str, tuple[Hashable, ...], str]] = deque(maxlen=HISTORY)

    # --- requests -----------------------------------------------------------------------------------------------------

    def request(
        self,
        client: bytes,
        request_id: int,
        scheduling_class: SchedulingClass,
        count: int,
        name: str,
        now: float,
        kind: int = TASK,
        placement: ResourceSet | None = None,
        passed_on: bool = False,
    ) -> list[Effect]:
        """A client wants up to `count` leases.

        Args:
            client: who asks; for actors the one that decides over their lives, not the actor's owner.
            request_id: unique for the client.
            name: function or class, for people.
            kind: TASK or ACTOR.
            placement: what must be free for an actor to be placed, where that is more than it will hold.
            passed_on: another node sent it here, so it is not sent on.

        Raises:
            ShoalSystemError: the client has such a request already.
        """
        id = (client, request_id)
        if id in self._requests or id in self._infeasible:
            raise ShoalSystemError(f"client {client.hex()} has a lease request {request_id} already")
        request = Request(client, request_id, kind, name, count, now)
        key: Hashable = scheduling_class if placement is None else (scheduling_class, placement)
        effects: list[Effect] = []
        queue = self._queues.get(key)
        if queue is None:
            queue = ClassQueue(key, scheduling_class, placement)
            if not self._accept(request, queue, passed_on, effects):
                return effects
            self._queues[key] = queue
        elif self._others and not passed_on and self._pass_on(request, queue, effects):
            return effects
        self._enter(request, queue, now)
        self._serve(queue, effects, now)
        self._start_workers(effects)
        if queue.is_waiting:
            self._reclaim(effects)
        return effects

    def cancel_request(self, client: bytes, request_id: int, now: float) -> list[Effect]:
        """The client needs no more grants of this request."""
        if self._infeasible.pop((client, request_id), None) is not None:
            return []
        request = self._requests.get((client, request_id))
        if request is None:
            return []
        self._withdraw(request)
        return self._dispatch(now)

    def client_gone(self, client: bytes, now: float) -> list[Effect]:
        """A client's process ended: its requests are void, and the workers of its task leases run for nobody.

        Actors that are there stay: whether they outlive a client is not decided here.
        """
        effects: list[Effect] = []
        for id in [id for id in self._infeasible if id[0] == client]:
            del self._infeasible[id]
        for request in [request for id, request in self._requests.items() if id[0] == client]:
            self._withdraw(request)
        for party in list(self._parties.get(client, {}).values()):
            for lease in list(party.leases.values()):
                if lease.request.kind == TASK:
                    self._kill(lease, "the process that it worked for has ended", effects)
        return self._dispatch(now, effects)

    # --- leases -------------------------------------------------------------------------------------------------------

    def lease_returned(self, lease_id: int, now: float, reusable: bool = True) -> list[Effect]:
        """The client gives a lease back. `reusable` False: the worker must run no more tasks."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.worker is None:
            return []
        worker = lease.worker
        self._end(lease, "returned", now)
        effects: list[Effect] = []
        if self._pool.give_back(worker, reusable, now):
            effects.append(StopWorker(worker.id, "it may run no more tasks", False))
        return self._dispatch(now, effects)

    def worker_blocked(self, worker_id: bytes, now: float) -> list[Effect]:
        """The worker's task or actor waits for others: its CPU is free meanwhile."""
        lease = self._lease_of(worker_id)
        if lease is None or lease.lent:
            return []
        lease.lent = lease.request.party.queue.scheduling_class.resources.get(CPU)
        if lease.lent:
            lease.pot.lend_cpu(lease.lent)
        if lease.request.kind == TASK:
            for party in self._parties.get(worker_id, {}).values():
                party.queue.prefer(party)
        return self._dispatch(now) if lease.lent else []

    def worker_unblocked(self, worker_id: bytes, now: float) -> list[Effect]:
        """The worker's task goes on, and uses its CPU again, free or not."""
        lease = self._lease_of(worker_id)
        if lease is not None and lease.lent:
            lease.pot.take_back_cpu(lease.lent)
            lease.lent = 0
        return []

    # --- workers ------------------------------------------------------------------------------------------------------

    def worker_ready(self, worker_id: bytes, environment_key: str, now: float, token: int | None = None) -> list[Effect]:
        """A worker is there. `token` is that of its StartWorker; None where nobody asked for it."""
        if token is not None:
            self._pool.start_ended(token)
        self._failures.pop(environment_key, None)
        self._pool.arrived(worker_id, environment_key, now)
        return self._dispatch(now)

    def worker_died(self, worker_id: bytes, now: float) -> list[Effect]:
        """A worker's process ended, for whatever reason."""
        worker = self._pool.gone(worker_id)
        if worker is None:
            return []
        effects: list[Effect] = []
        lease = worker.lease
        if lease is not None:
            effects.append(LeaseLost(lease.request.client, lease.id, worker_id, lease.request.kind))
            self._end(lease, "lost", now)
        return self._dispatch(now, effects)

    def worker_kept(self, worker_id: bytes, now: float) -> list[Effect]:
        """A worker that was asked to leave (StopWorker without force) is still needed."""
        worker = self._pool.workers.get(worker_id)
        if worker is None:
            return []
        self._pool.kept(worker, now)
        return self._dispatch(now)

    def start_failed(self, token: int, explanation: str, now: float) -> list[Effect]:
        """A worker that was asked for did not come up; another is tried, some times."""
        environment_key = self._pool.start_ended(token)
        if environment_key is None:
            return []
        failures = self._failures[environment_key] = self._failures.get(environment_key, 0) + 1
        if failures >= START_ATTEMPTS:
            return self.environment_failed(environment_key, explanation, now)
        return self._dispatch(now)

    # --- environments -------------------------------------------------------------------------------------------------

    def environment_pending(self, environment_key: str, now: float) -> list[Effect]:
        """An environment has yet to be made, which may take minutes: nobody holds resources for that long."""
        self._unready.add(environment_key)
        for lease in list(self._starting.get(environment_key, {}).values()):
            self._requeue(lease, now)
        return self._dispatch(now)

    def environment_ready(self, environment_key: str, now: float) -> list[Effect]:
        self._unready.discard(environment_key)
        return self._dispatch(now)

    def environment_failed(self, environment_key: str, explanation: str, now: float) -> list[Effect]:
        """Workers cannot be started in this environment: whoever waits for one is refused."""
        self._unready.discard(environment_key)
        self._failures.pop(environment_key, None)
        effects: list[Effect] = []
        for request in list(self._requests.values()):
            queue = self._queue_of(request)
            if queue.environment_key == environment_key and request.kind != GROUP:
                self._refuse(request, queue, ENVIRONMENT, explanation, effects)
        return self._dispatch(now, effects)

    # --- placement groups ---------------------------------------------------------------------------------------------

    def want_room(self, group_id: bytes, name: str, bundles: Sequence[ResourceSet], now: float) -> list[Effect]:
        """A placement group waits to reserve these bundles here: RoomForGroup says when they fit."""
        id = (group_id, 0)
        if id in self._requests:
            return []
        whole = ResourceSet()
        for bundle in bundles:
            whole = whole.plus(bundle)
        parts = tuple(bundle.amounts for bundle in bundles)
        queue = ClassQueue(("group", group_id), SchedulingClass(whole), bundles=parts)
        self._queues[queue.key] = queue
        self._enter(Request(group_id, 0, GROUP, name, 1, now), queue, now)
        self._patience.due(now)
        return self._dispatch(now)

    def unwant_room(self, group_id: bytes, now: float) -> list[Effect]:
        """The placement group wants no room here any more."""
        return self.cancel_request(group_id, 0, now)

    def prepare_bundles(self, group_id: bytes, bundles: Mapping[int, ResourceSet], now: float) -> list[Effect]:
        """Reserve bundles (index -> resources), all or none: the first of two phases."""
        demand = self._requests.get((group_id, 0))
        if demand is not None:
            self._withdraw(demand)
        effects: list[Effect] = []
        if self._ledger.prepare(group_id, bundles):
            effects.append(BundlesPrepared(group_id, tuple(bundles)))
        else:
            effects.append(BundlesRefused(group_id, tuple(bundles)))
        return self._dispatch(now, effects)

    def commit_bundles(self, group_id: bytes, indices: Iterable[int], now: float) -> list[Effect]:
        """The second phase: what is reserved may be used."""
        self._ledger.commit(group_id, indices)
        effects: list[Effect] = []
        for queue in [queue for queue in self._turns if queue.group_id == group_id]:
            obstacle = self._obstacle(queue)
            if obstacle is not None:
                for request in [request for party in queue.waiting() for request in party.requests]:
                    self._refuse(request, queue, INFEASIBLE, obstacle.explanation, effects)
        return self._dispatch(now, effects)

    def return_bundles(self, group_id: bytes, indices: Iterable[int], now: float) -> list[Effect]:
        """Reservations end: what runs inside is killed, and its resources are free when it is dead."""
        effects: list[Effect] = []
        for lease in self._ledger.return_bundles(group_id, indices):
            if lease.worker is None:
                self._requeue(lease, now)
            else:
                self._kill(lease, "its placement group was removed", effects)
        return self._dispatch(now, effects)

    def group_removed(self, group_id: bytes, now: float) -> list[Effect]:
        """The placement group is gone for good: its bundles are returned, and requests for it refused, now and later."""
        self._removed_groups[group_id] = None
        if len(self._removed_groups) > REMOVED_GROUPS_KNOWN:
            del self._removed_groups[next(iter(self._removed_groups))]
        effects = self.unwant_room(group_id, now)
        effects += self.return_bundles(group_id, tuple(self._ledger.groups.get(group_id, ())), now)
        for request in list(self._requests.values()):
            queue = self._queue_of(request)
            if queue.group_id == group_id and request.remaining:
                self._refuse(request, queue, GROUP_REMOVED, "its placement group was removed", effects)
        return effects

    # --- other nodes --------------------------------------------------------------------------------------------------

    def nodes_changed(self, others: Iterable[NodeView], now: float) -> list[Effect]:
        """What is known of the session's other nodes: requests that wait may be better off there."""
        self._others = tuple(others)
        effects: list[Effect] = []
        for request in [request for request in self._requests.values() if request.remaining and request.kind != GROUP]:
            queue = self._queue_of(request)
            node_id = self._better_node(queue)
            if node_id is not None:
                effects.append(PassOn(request.client, request.id, node_id, request.remaining))
                self._withdraw(request, waiting_only=True)
        for id, (request, queue) in list(self._infeasible.items()):
            del self._infeasible[id]
            queue = self._queues.get(queue.key, queue)
            if self._accept(request, queue, False, effects):
                self._queues[queue.key] = queue
                self._enter(request, queue, now)
        return self._dispatch(now, effects)

    # --- time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Returns when `tick` must be called next; None: not before another event."""
        surplus = self._pool.surplus_from(IDLE_WORKER_SECONDS)
        deadline = self._patience.deadline
        return surplus if deadline is None or (surplus is not None and surplus < deadline) else deadline

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        effects: list[Effect] = []
        for worker in self._pool.surplus(now, IDLE_WORKER_SECONDS):
            effects.append(StopWorker(worker.id, "it has been idle", False))
        patience = self._patience
        if patience.deadline is None or now < patience.deadline:
            return effects
        patience.deadline = None
        if patience.update(self._turns, self._ledger.node, now):
            self._dispatch(now, effects)
        for party in patience.to_warn_about(self._turns, now):
            effects.append(self._warn(party.requests[0], self._explain_waiting(party.requests[0], now)))
        self._warn_about_starts(effects, now)
        self._warn_about_infeasible(effects, now)
        return effects

    def _warn(self, request: Request, told: Explanation) -> WarnWaiting:
        client, group_id = (b"", request.client) if request.kind == GROUP else (request.client, b"")
        return WarnWaiting(client, request.id, told.text, told.holders, told.stuck, group_id)

    def _warn_about_starts(self, effects: list[Effect], now: float) -> None:
        for environment_key, leases in self._starting.items():
            for lease in leases.values():
                request = lease.request
                if request.warned:
                    continue
                if now < lease.since + WARN_AFTER:
                    self._patience.due(lease.since + WARN_AFTER)
                    break
                request.warned = True
                effects.append(self._warn(request, explain_start(request, now - lease.since, environment_key)))

    def _warn_about_infeasible(self, effects: list[Effect], now: float) -> None:
        for request, queue in self._infeasible.values():
            if request.warned:
                continue
            if now < request.arrived + WARN_AFTER:
                self._patience.due(request.arrived + WARN_AFTER)
                continue
            request.warned = True
            obstacle = self._obstacle(queue)
            why = obstacle.explanation if obstacle is not None else ""
            effects.append(WarnInfeasible(request.client, request.id, f"{request.describe()} cannot run now: {why}"))

    # --- what can be met ----------------------------------------------------------------------------------------------

    def _obstacle(self, queue: ClassQueue) -> Infeasible | None:
        """Says why no node could ever hold what the queue asks for."""
        if queue.group_id:
            pots = tuple(self._ledger.candidates(queue.group_id, queue.bundle_index))
            if pots and not any(pot.could_hold(queue.needed) for pot in pots):
                return Infeasible(infeasible_in_group(queue, pots))
            return None
        if self._is_plain(queue) and self._ledger.node.could_hold(queue.needed):
            return None
        decision = self._choose(queue)
        return decision if isinstance(decision, Infeasible) else None

    def _accept(self, request: Request, queue: ClassQueue, passed_on: bool, effects: list[Effect]) -> bool:
        """Decides on the first request of a class: False where it was refused, passed on, or put aside."""
        if queue.group_id in self._removed_groups:
            self._refuse(request, queue, GROUP_REMOVED, "its placement group was removed", effects)
            return False
        obstacle = self._obstacle(queue)
        if obstacle is None:
            return not (self._others and not passed_on and self._pass_on(request, queue, effects))
        if not self._joinable or obstacle.bound or queue.group_id:
            why = UNSCHEDULABLE if obstacle.bound else INFEASIBLE
            self._refuse(request, queue, why, obstacle.explanation, effects)
        else:
            self._infeasible[request.client, request.id] = (request, queue)
            self._patience.due(request.arrived + WARN_AFTER)
        return False

    def _pass_on(self, request: Request, queue: ClassQueue, effects: list[Effect]) -> bool:
        node_id = self._better_node(queue)
        if node_id is None:
            return False
        effects.append(PassOn(request.client, request.id, node_id, request.remaining))
        return True

    def _better_node(self, queue: ClassQueue) -> bytes | None:
        """Returns the node that a request should go to; None for this one."""
        if queue.scheduling_class.strategy == DefaultStrategy() and self._room(queue) is not None and self._is_plain(queue):
            return None
        decision = self._choose(queue)
        if isinstance(decision, (Placed, Wait)) and decision.node_id not in (self.node_id, b""):
            return decision.node_id
        return None

    def _choose(self, queue: ClassQueue) -> Placed | Wait | Infeasible:
        self._turn += 1
        nodes = sorted((self.view(), *self._others), key=lambda node: node.node_id)
        return choose_node(queue.scheduling_class, nodes, self.node_id, self._turn, ResourceSet(queue.needed))

    def _is_plain(self, queue: ClassQueue) -> bool:
        """Returns whether any node will do."""
        wanted = queue.scheduling_class
        return isinstance(wanted.strategy, (DefaultStrategy, SpreadStrategy)) and not wanted.label_selector

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _enter(self, request: Request, queue: ClassQueue, now: float) -> None:
        parties = self._parties.get(request.client)
        if parties is None:
            parties = self._parties[request.client] = {}
        party = parties.get(queue)
        if party is None:
            party = parties[queue] = queue.parties[request.client] = Party(request.client, queue)
        request.party = party
        party.requests.append(request)
        self._requests[request.client, request.id] = request
        queue.enter(party, now)
        self._turns[queue] = None

    def _withdraw(self, request: Request, waiting_only: bool = False) -> None:
        """No more grants for a request (except, `waiting_only`, those that wait for their worker)."""
        party = self._party_of(request)
        if request.remaining:
            party.requests.remove(request)
            request.to_come -= request.remaining
            request.remaining = 0
        if not waiting_only and request.to_come:
            starting = self._starting.get(party.queue.environment_key, {})
            for lease in [lease for lease in starting.values() if lease.request is request]:
                self._end(lease, "cancelled", lease.since)
            request.to_come = 0
        if request.to_come == 0:
            self._requests.pop((request.client, request.id), None)
        self._settle(party)

    def _requeue(self, lease: Lease, now: float) -> None:
        """A lease that waits for a worker gives its resources back and waits for its turn again."""
        request, party = lease.request, lease.party
        self._end(lease, "requeued", now, settle=False)
        if request.remaining == 0:
            party.requests.appendleft(request)
        request.remaining += 1
        party.queue.enter(party, now)
        self._queues[party.queue.key] = party.queue
        self._turns[party.queue] = None

    def _settle(self, party: Party) -> None:
        """Forgets a party, and its queue, where nothing is left of them."""
        queue = party.queue
        if not party.requests:
            queue.leave(party)
            if not party.leases:
                del queue.parties[party.client]
                parties = self._parties[party.client]
                del parties[queue]
                if not parties:
                    del self._parties[party.client]
        if not queue.is_waiting:
            self._turns.pop(queue, None)
            self._patience.drop_claim(queue)
            if not queue.parties:
                del self._queues[queue.key]

    def _refuse(self, request: Request, queue: ClassQueue, why: str, explanation: str, effects: list[Effect]) -> None:
        if request.party is not None:
            self._withdraw(request)
        text = f"{request.describe()} can never run: {explanation}"
        effects.append(Refuse(request.client, request.id, why, text, request.kind, queue.scheduling_class.resources))

    # --- serving ------------------------------------------------------------------------------------------------------

    def _dispatch(self, now: float, effects: list[Effect] | None = None) -> list[Effect]:
        """Something may be free: serves those who wait for workers, then those who wait for resources, in turns."""
        if effects is None:
            effects = []
        if self._starting:
            self._hand_out_workers(effects)
        turns = self._turns
        if turns:
            claim = self._patience.claim
            if claim is not None and self._room(claim) is not None:
                turns.move_to_end(claim, last=False)
            missed = 0
            while missed < len(turns):
                queue = next(iter(turns))
                pot = self._room(queue)
                if pot is None:
                    missed += 1
                    turns.move_to_end(queue)
                    continue
                missed = 0
                self._serve_one(queue, pot, effects, now)
                if queue in turns:
                    turns.move_to_end(queue)
        if self._starting:
            self._start_workers(effects)
        if turns:
            self._reclaim(effects)
        return effects

    def _serve(self, queue: ClassQueue, effects: list[Effect], now: float) -> None:
        """A request came, and nothing got free: only its own queue can have any use of what there is."""
        while queue.is_waiting:
            pot = self._room(queue)
            if pot is None:
                self._patience.due(now + 1.0)
                return
            self._serve_one(queue, pot, effects, now)

    def _room(self, queue: ClassQueue) -> Pot | None:
        """Returns where the queue's next lease can be taken from now."""
        if queue.environment_key in self._unready or queue.room_found:
            return None
        if not queue.group_id:
            node = self._ledger.node
            return node if queue.fits(node) and self._patience.leaves_enough(node, queue) else None
        for pot in self._ledger.candidates(queue.group_id, queue.bundle_index):
            if pot.fits(queue.needed):
                return pot
        return None

    def _serve_one(self, queue: ClassQueue, pot: Pot, effects: list[Effect], now: float) -> None:
        party = queue.next_party()
        request = party.requests[0]
        if request.kind == GROUP:
            queue.room_found = True
            effects.append(RoomForGroup(request.client))
            return
        request.remaining -= 1
        if request.remaining == 0:
            party.requests.popleft()
        self._last_lease_id += 1
        shares = pot.take(queue.amounts)
        lease = Lease(self._last_lease_id, request, party, pot, queue.amounts, shares, now)
        self._leases[lease.id] = pot.leases[lease.id] = party.leases[lease.id] = lease
        queue.served(party, now)
        if not queue.is_waiting:
            self._turns.pop(queue, None)
        if self._patience.claim is queue:
            self._patience.drop_claim(queue)
        worker = self._pool.take(queue.environment_key)
        if worker is None:
            self._starting.setdefault(queue.environment_key, OrderedDict())[lease.id] = lease
            self._patience.due(now + WARN_AFTER)
        else:
            self._grant(lease, worker, effects)

    def _grant(self, lease: Lease, worker: Worker, effects: list[Effect]) -> None:
        lease.worker = worker
        worker.lease = lease
        request = lease.request
        request.to_come -= 1
        if request.to_come == 0:
            del self._requests[request.client, request.id]
        gpu_ids = tuple(gpu for gpu, _ in lease.shares)
        resources = lease.party.queue.scheduling_class.resources
        effects.append(
            Grant(
                request.client, request.id, lease.id, worker.id, resources, gpu_ids, request.to_come, lease.pot.index
            )
        )
        self._note(lease.since, "granted", (lease.id, worker.id, request.client), request.name)

    def _hand_out_workers(self, effects: list[Effect]) -> None:
        for environment_key, leases in list(self._starting.items()):
            while leases:
                worker = self._pool.take(environment_key)
                if worker is None:
                    break
                self._grant(leases.popitem(last=False)[1], worker, effects)
            if not leases:
                del self._starting[environment_key]

    def _start_workers(self, effects: list[Effect]) -> None:
        for environment_key, leases in self._starting.items():
            for token in self._pool.start(environment_key, len(leases)):
                effects.append(StartWorker(environment_key, token))
        for worker in self._pool.make_room():
            effects.append(StopWorker(worker.id, "others are needed more", False))

    def _reclaim(self, effects: list[Effect]) -> None:
        queues = [queue for queue in self._turns if queue.environment_key not in self._unready and not queue.room_found]
        for lease in choose_leases_to_reclaim(queues, self._pots_of):
            lease.reclaimed = True
            effects.append(Reclaim(lease.request.client, lease.id))

    def _pots_of(self, queue: ClassQueue) -> Iterable[Pot]:
        return self._ledger.candidates(queue.group_id, queue.bundle_index)

    # --- ending -------------------------------------------------------------------------------------------------------

    def _end(self, lease: Lease, how: str, now: float, settle: bool = True) -> None:
        """A lease is no more; its resources are free."""
        lease.release()
        del self._leases[lease.id]
        party = lease.party
        del party.leases[lease.id]
        if lease.worker is None:
            environment_key = party.queue.environment_key
            starting = self._starting[environment_key]
            del starting[lease.id]
            if not starting:
                del self._starting[environment_key]
        if settle and not party.leases and not party.requests:
            self._settle(party)
        self._note(now, how, (lease.id, lease.request.client), lease.request.name)

    def _kill(self, lease: Lease, reason: str, effects: list[Effect]) -> None:
        """Ends a lease by force: it is over, and its resources free, when its worker is dead."""
        if lease.worker is not None:
            lease.worker.move(KILL)
            effects.append(StopWorker(lease.worker.id, reason, True))

    # --- looking inside -----------------------------------------------------------------------------------------------

    def total(self) -> dict[str, int]:
        """Returns what this node has, in ten-thousandths."""
        return dict(self._ledger.node.total)

    def available(self) -> dict[str, int]:
        """Returns what is free and not reserved, without what is used up (or owed)."""
        return {name: amount for name, amount in self._ledger.node.available.items() if amount > 0}

    def view(self) -> NodeView:
        """Returns what others need to know of this node."""
        ledger = self._ledger
        bundles = tuple((group_id, index) for group_id, group in ledger.groups.items() for index in group)
        return NodeView(self.node_id, dict(ledger.node.total), dict(ledger.node.available), self._labels, True, bundles)

    def lease_of(self, worker_id: bytes) -> Lease | None:
        """Returns the lease that a worker has now."""
        return self._lease_of(worker_id)

    def leases_of(self, client: bytes) -> list[Lease]:
        """Returns the leases that a client has now."""
        return [lease for party in self._parties.get(client, {}).values() for lease in party.leases.values()]

    def demand(self) -> list[tuple[ResourceSet, int]]:
        """Returns what is waited for: resources, and how many such leases."""
        waiting = [(queue, sum(party.wanted for party in queue.waiting())) for queue in self._turns]
        waiting += [(queue, request.remaining) for request, queue in self._infeasible.values()]
        return [(ResourceSet(queue.needed), count) for queue, count in waiting]

    def explain(self, client: bytes, request_id: int, now: float) -> Explanation | None:
        """Says why a request waits; None where it does not."""
        put_aside = self._infeasible.get((client, request_id))
        if put_aside is not None:
            obstacle = self._obstacle(put_aside[1])
            why = obstacle.explanation if obstacle is not None else ""
            return Explanation(f"{put_aside[0].describe()} cannot run now: {why}")
        request = self._requests.get((client, request_id))
        return self._explain_waiting(request, now) if request is not None else None

    def _explain_waiting(self, request: Request, now: float) -> Explanation:
        party = self._party_of(request)
        queue = party.queue
        if request.remaining == 0 or queue.environment_key in self._unready:
            return explain_start(request, now - party.waiting_since, queue.environment_key)
        return explain_wait(request.describe(), now - party.waiting_since, queue, tuple(self._pots_of(queue)))

    def story(self, id: Hashable) -> list[str]:
        """Returns the last transitions of a lease (number), a worker or a client (bytes), for people."""
        lines = [f"{now:.3f} {what} {name!r} {ids[0]}" for now, what, ids, name in self._history if id in ids]
        lease = self._leases.get(id) if isinstance(id, int) else None
        return [*lines, describe_lease(lease, lease.since)] if lease is not None else lines

    def _note(self, now: float, what: str, ids: tuple[Hashable, ...], name: str) -> None:
        self._history.append((now, what, ids, name))

    def _lease_of(self, worker_id: bytes) -> Lease | None:
        worker = self._pool.workers.get(worker_id)
        return worker.lease if worker is not None else None

    def _party_of(self, request: Request) -> Party:
        assert request.party is not None, "a request that waits stands in a queue"
        return request.party

    def _queue_of(self, request: Request) -> ClassQueue:
        return self._party_of(request).queue

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        self._ledger.check()
        self._pool.check()
        for key, queue in self._queues.items():
            queue.check()
            assert queue.key == key and queue.parties
            assert queue.is_waiting == (queue in self._turns), f"queue of {key} waits, and has no turn, or the reverse"
        pots = {lease.id: lease for pot in self._ledger.pots() for lease in pot.leases.values()}
        assert pots == self._leases
        starting = {id: lease for leases in self._starting.values() for id, lease in leases.items()}
        for lease in self._leases.values():
            assert (lease.worker is None) == (lease.id in starting)
            assert lease.worker is None or lease.worker.lease is lease
            assert lease.party.leases[lease.id] is lease
        for request in self._requests.values():
            assert request.to_come >= request.remaining >= 0 and request.to_come > 0
        for queue in self._turns:
            assert self._room(queue) is None, f"{queue.key} has room, and waits"
