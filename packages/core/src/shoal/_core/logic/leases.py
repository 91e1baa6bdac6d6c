"""Leases of one node: who may use which worker and which resources, and who waits.

A life: a client *requests* leases of a scheduling class. When it is its turn and there is room, resources are taken; when a
worker of the right environment is idle, or has been started, the lease is *granted*. A task's lease ends when the client
*returns* it or the worker dies; an actor's when the worker dies. A task that waits *lends* its CPU (never its GPUs) and takes
it back when it goes on, which may leave the node owing CPU: nobody gets any until that is worked off. Nested gets never
deadlock.

    waiting -> (resources taken) starting -> granted -> returned | lost
       |                            |           |
       +---- cancelled, refused ----+           +-> lent <-> granted

Those who wait get leases back from those who have many (`reclaiming`), are preferred and may claim after a while
(`lease_patience`), and are told who holds what they need (`lease_explanations`). A request that can never be met is refused at
once; where nodes may join the session it is put aside, and the user warned. The tables, and the moves between them, are in
`lease_book`; who is served next is decided in `lease_serving`; workers' states are in `worker_pool`, effects in `lease_effects`.

Every event takes `now` (seconds, of any clock that only goes forward) and returns its effects, in order. Events about what is
gone already are ignored: a lease may be returned while the news of its worker's death is on the way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from shoal._core.logic.lease_book import LeaseBook
from shoal._core.logic.lease_effects import (
    ENVIRONMENT,
    GROUP_REMOVED,
    INFEASIBLE,
    UNSCHEDULABLE,
    BundlesPrepared,
    BundlesRefused,
    Effect,
    LeaseLost,
    PassOn,
    Refuse,
    StartWorker,
    StopWorker,
    WarnInfeasible,
    WarnWaiting,
)
from shoal._core.logic.lease_explanations import Explanation, explain_start, explain_wait
from shoal._core.logic.lease_patience import HUNGRY_AFTER, WARN_AFTER
from shoal._core.logic.lease_queue import GROUP, TASK, ClassQueue, Lease, Request
from shoal._core.logic.lease_routing import Routing
from shoal._core.logic.lease_serving import Serving
from shoal._core.logic.scheduling import NodeView
from shoal._core.logic.worker_pool import LEAVING, RETIRED
from shoal._core.schema.resources import CPU, UNIT, ResourceSet, SchedulingClass
from shoal.exceptions import ShoalSystemError

IDLE_WORKER_SECONDS = 1.0
START_ATTEMPTS = 3
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
        self._joinable = joinable
        self._book = LeaseBook(total, cpus if warm_workers is None else warm_workers, max(4, 2 * cpus))
        self._patience = self._book.patience
        self._serving = Serving(self._book)
        self._routing = Routing(node_id, labels or {}, self._book)
        self._put_aside: dict[tuple[bytes, int], tuple[Request, ClassQueue]] = {}
        """Requests that no node can meet, until one joins that can."""
        self._failures: dict[str, int] = {}
        """Environment -> workers that did not start, in a row."""
        self._removed_groups: dict[bytes, None] = {}

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
        if (client, request_id) in self._book.requests or (client, request_id) in self._put_aside:
            raise ShoalSystemError(f"client {client.hex()} has a lease request {request_id} already")
        request = Request(client, request_id, kind, name, count, now)
        key: Hashable = scheduling_class if placement is None else (scheduling_class, placement)
        queue = self._book.queues.get(key)
        effects: list[Effect] = []
        if queue is None:
            queue = ClassQueue(key, scheduling_class, placement)
            if not self._can_be_met(request, queue, passed_on, effects):
                return effects
        if self._routing.others and not passed_on:
            better = self._routing.better_node(queue)
            if better is not None:
                return [PassOn(client, request_id, better, count)]
        self._book.enter(request, queue, now)
        return self._serving.serve_newcomer(queue, effects, now)

    def cancel_request(self, client: bytes, request_id: int, now: float) -> list[Effect]:
        """The client needs no more grants of this request."""
        if self._put_aside.pop((client, request_id), None) is not None:
            return []
        request = self._book.requests.get((client, request_id))
        if request is None:
            return []
        self._book.withdraw(request, now)
        return self._serving.serve_all(now)

    def client_gone(self, client: bytes, now: float) -> list[Effect]:
        """A client's process ended: its requests are void, and the workers of its task leases work for nobody.

        Actors that are there stay: whether they outlive a client is not decided here.
        """
        effects: list[Effect] = []
        for id_aside in [id_aside for id_aside in self._put_aside if id_aside[0] == client]:
            del self._put_aside[id_aside]
        for request in [request for request in self._book.requests.values() if request.client == client]:
            self._book.withdraw(request, now)
        for lease in self._book.leases_of(client):
            if lease.request.kind == TASK:
                self._book.kill(lease, "the process that it worked for has ended", effects)
        return self._serving.serve_all(now, effects)

    # --- leases -------------------------------------------------------------------------------------------------------

    def lease_returned(self, lease_id: int, now: float, reusable: bool = True) -> list[Effect]:
        """The client gives a lease back. `reusable` False: the worker must run no more tasks."""
        lease = self._book.leases.get(lease_id)
        if lease is None or lease.worker is None:
            return []
        worker = lease.worker
        self._book.end(lease, "returned", now)
        effects: list[Effect] = []
        if self._book.pool.give_back(worker, reusable, now):
            effects.append(StopWorker(worker.id, "it may run no more tasks", False))
        return self._serving.serve_all(now, effects)

    def worker_blocked(self, worker_id: bytes, now: float) -> list[Effect]:
        """The worker's task or actor waits for others: its CPU is free meanwhile."""
        lease = self._book.lease_of(worker_id)
        if lease is None or lease.lent:
            return []
        lease.lent = lease.party.queue.scheduling_class.resources.get(CPU)
        if not lease.lent:
            return []
        lease.pot.lend_cpu(lease.lent)
        if lease.request.kind == TASK:
            for queue, party in self._book.parties.get(worker_id, {}).items():
                queue.prefer(party)
        return self._serving.serve_all(now)

    def worker_unblocked(self, worker_id: bytes, now: float) -> list[Effect]:
        """The worker's task goes on, and uses its CPU again, free or not."""
        lease = self._book.lease_of(worker_id)
        if lease is not None and lease.lent:
            lease.pot.take_back_cpu(lease.lent)
            lease.lent = 0
        return []

    # --- workers ------------------------------------------------------------------------------------------------------

    def worker_ready(
        self, worker_id: bytes, environment_key: str, now: float, token: int | None = None
    ) -> list[Effect]:
        """A worker is there. `token` is that of its StartWorker; None where nobody asked for it."""
        if token is not None:
            self._book.pool.start_ended(token)
        self._failures.pop(environment_key, None)
        self._book.pool.arrived(worker_id, environment_key, now)
        return self._serving.serve_all(now)

    def worker_died(self, worker_id: bytes, now: float) -> list[Effect]:
        """A worker's process ended, for whatever reason."""
        worker = self._book.pool.gone(worker_id)
        if worker is None:
            return []
        effects: list[Effect] = []
        lease = worker.lease
        if lease is not None:
            effects.append(LeaseLost(lease.request.client, lease.id, worker_id, lease.request.kind))
            self._book.end(lease, "lost", now)
        return self._serving.serve_all(now, effects)

    def worker_kept(self, worker_id: bytes, now: float) -> list[Effect]:
        """A worker that was asked to leave (StopWorker without force) is still needed."""
        worker = self._book.pool.workers.get(worker_id)
        if worker is None or worker.state != LEAVING:
            return []
        self._book.pool.kept(worker, now)
        return self._serving.serve_all(now)

    def prestart(self, count: int) -> list[Effect]:
        """Workers that are started before anybody asks for one."""
        return [StartWorker("", token) for token in self._book.pool.start("", count)]

    def start_failed(self, token: int, explanation: str, now: float) -> list[Effect]:
        """A worker that was asked for did not come up: another is tried, a few times."""
        environment_key = self._book.pool.start_ended(token)
        if environment_key is None:
            return []
        failures = self._failures[environment_key] = self._failures.get(environment_key, 0) + 1
        if failures >= START_ATTEMPTS:
            return self.environment_failed(environment_key, explanation, now)
        return self._serving.serve_all(now)

    # --- environments -------------------------------------------------------------------------------------------------

    def environment_pending(self, environment_key: str, now: float) -> list[Effect]:
        """An environment has yet to be made, which may take minutes: nobody holds resources for that long."""
        self._book.unready.add(environment_key)
        for lease in list(self._book.starting.get(environment_key, {}).values()):
            self._book.requeue(lease, now)
        self._patience.due(now + HUNGRY_AFTER)
        return self._serving.serve_all(now)

    def environment_ready(self, environment_key: str, now: float) -> list[Effect]:
        self._book.unready.discard(environment_key)
        return self._serving.serve_all(now)

    def environment_failed(self, environment_key: str, explanation: str, now: float) -> list[Effect]:
        """Workers cannot be started in this environment: whoever waits for one is refused."""
        self._book.unready.discard(environment_key)
        self._failures.pop(environment_key, None)
        effects: list[Effect] = []
        for request, queue in self._waiting_requests():
            if queue.environment_key == environment_key and request.kind != GROUP:
                self._refuse(request, queue, ENVIRONMENT, explanation, effects, now)
        return self._serving.serve_all(now, effects)

    # --- placement groups ---------------------------------------------------------------------------------------------

    def want_room(self, group_id: bytes, name: str, bundles: Sequence[ResourceSet], now: float) -> list[Effect]:
        """A placement group waits to reserve these bundles here: RoomForGroup says when they fit."""
        if (group_id, 0) in self._book.requests:
            return []
        whole = ResourceSet()
        for bundle in bundles:
            whole = whole.plus(bundle)
        parts = tuple(bundle.amounts for bundle in bundles)
        queue = ClassQueue(("group", group_id), SchedulingClass(whole), bundles=parts)
        self._book.enter(Request(group_id, 0, GROUP, name, 1, now), queue, now)
        self._patience.due(now)
        return self._serving.serve_all(now)

    def unwant_room(self, group_id: bytes, now: float) -> list[Effect]:
        """The placement group wants no room here any more."""
        return self.cancel_request(group_id, 0, now)

    def prepare_bundles(self, group_id: bytes, bundles: Mapping[int, ResourceSet], now: float) -> list[Effect]:
        """Reserve bundles (index -> resources), all or none: the first of two phases."""
        demand = self._book.requests.get((group_id, 0))
        if demand is not None:
            self._book.withdraw(demand, now)
        fits = self._book.ledger.prepare(group_id, bundles)
        answer = BundlesPrepared if fits else BundlesRefused
        return self._serving.serve_all(now, [answer(group_id, tuple(bundles))])

    def commit_bundles(self, group_id: bytes, indices: Iterable[int], now: float) -> list[Effect]:
        """The second phase: what is reserved may be used."""
        self._book.ledger.commit(group_id, indices)
        effects: list[Effect] = []
        for request, queue in self._waiting_requests():
            obstacle = self._routing.obstacle(queue) if queue.group_id == group_id else None
            if obstacle is not None:
                self._refuse(request, queue, INFEASIBLE, obstacle.explanation, effects, now)
        return self._serving.serve_all(now, effects)

    def return_bundles(self, group_id: bytes, indices: Iterable[int], now: float) -> list[Effect]:
        """Reservations end: what runs inside is killed, and its resources are free when it is dead."""
        effects: list[Effect] = []
        for lease in self._book.ledger.return_bundles(group_id, indices):
            if lease.worker is None:
                self._book.requeue(lease, now)
            else:
                self._book.kill(lease, "its placement group was removed", effects)
        return self._serving.serve_all(now, effects)

    def group_removed(self, group_id: bytes, now: float) -> list[Effect]:
        """The placement group is gone for good: its bundles are returned, and requests for it refused, now and later."""
        self._removed_groups[group_id] = None
        if len(self._removed_groups) > REMOVED_GROUPS_KNOWN:
            del self._removed_groups[next(iter(self._removed_groups))]
        effects = self.unwant_room(group_id, now)
        effects += self.return_bundles(group_id, tuple(self._book.ledger.groups.get(group_id, ())), now)
        for request, queue in self._waiting_requests():
            if queue.group_id == group_id:
                self._refuse(request, queue, GROUP_REMOVED, "its placement group was removed", effects, now)
        return effects

    # --- other nodes --------------------------------------------------------------------------------------------------

    def nodes_changed(self, nodes: Iterable[NodeView], now: float) -> list[Effect]:
        """What is known of the session's other nodes: requests that wait may be better off there."""
        self._routing.set_others(nodes)
        effects: list[Effect] = []
        for request, queue in self._waiting_requests():
            better = self._routing.better_node(queue) if request.remaining and request.kind != GROUP else None
            if better is not None:
                effects.append(PassOn(request.client, request.id, better, request.remaining))
                self._book.withdraw(request, now, waiting_only=True)
        put_aside, self._put_aside = self._put_aside, {}
        for request, queue in put_aside.values():
            known = self._book.queues.get(queue.key, queue)
            if self._can_be_met(request, known, False, effects):
                better = self._routing.better_node(known)
                if better is not None:
                    effects.append(PassOn(request.client, request.id, better, request.remaining))
                else:
                    self._book.enter(request, known, now)
        return self._serving.serve_all(now, effects)

    # --- time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Returns when `tick` must be called next; None: not before another event."""
        deadline = self._patience.deadline
        surplus = self._book.pool.surplus_from(IDLE_WORKER_SECONDS)
        return surplus if deadline is None or (surplus is not None and surplus < deadline) else deadline

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        surplus = self._book.pool.surplus(now, IDLE_WORKER_SECONDS)
        effects: list[Effect] = [StopWorker(worker.id, "it has been idle", False) for worker in surplus]
        patience, turns = self._patience, self._book.turns
        if patience.deadline is None or now < patience.deadline:
            return effects
        patience.deadline = None
        if patience.update(turns, self._book.ledger.node, now):
            self._serving.serve_all(now, effects)
        for party in patience.to_warn_about(turns, now):
            request = party.requests[0]
            effects.append(self._warning(request, self._explain(request, party.queue, now)))
        for environment_key, lease in patience.slow_starts(self._book.starting, now):
            effects.append(
                self._warning(lease.request, explain_start(lease.request, now - lease.since, environment_key))
            )
        for request, queue in patience.long_put_aside(self._put_aside.values(), now):
            effects.append(WarnInfeasible(request.client, request.id, self._explain_put_aside(request, queue).text))
        return effects

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _can_be_met(self, request: Request, queue: ClassQueue, here_only: bool, effects: list[Effect]) -> bool:
        """Returns whether some node could ever grant the request. If not, it is refused, or put aside."""
        if queue.group_id in self._removed_groups:
            why, explanation = GROUP_REMOVED, "its placement group was removed"
        else:
            obstacle = self._routing.obstacle(queue, here_only)
            if obstacle is None:
                return True
            if self._joinable and not obstacle.bound and not queue.group_id:
                self._put_aside[request.client, request.id] = (request, queue)
                self._patience.due(request.arrived + WARN_AFTER)
                return False
            why, explanation = UNSCHEDULABLE if obstacle.bound else INFEASIBLE, obstacle.explanation
        self._refuse(request, queue, why, explanation, effects, request.arrived)
        return False

    def _refuse(
        self, request: Request, queue: ClassQueue, why: str, explanation: str, effects: list[Effect], now: float
    ) -> None:
        if request.party is not None:
            self._book.withdraw(request, now)
        text = f"{request.describe()} can never run: {explanation}"
        effects.append(Refuse(request.client, request.id, why, text, request.kind, queue.scheduling_class.resources))

    def _waiting_requests(self) -> list[tuple[Request, ClassQueue]]:
        return [(request, request.party.queue) for request in self._book.requests.values() if request.party is not None]

    # --- explaining ---------------------------------------------------------------------------------------------------

    def explain(self, client: bytes, request_id: int, now: float) -> Explanation | None:
        """Says why a request waits; None where it does not."""
        put_aside = self._put_aside.get((client, request_id))
        if put_aside is not None:
            return self._explain_put_aside(*put_aside)
        request = self._book.requests.get((client, request_id))
        if request is None or request.party is None:
            return None
        return self._explain(request, request.party.queue, now)

    def _explain(self, request: Request, queue: ClassQueue, now: float) -> Explanation:
        party = queue.parties[request.client]
        waited = now - party.waiting_since
        if request.remaining == 0 or queue.environment_key in self._book.unready:
            return explain_start(request, waited, queue.environment_key)
        return explain_wait(request.describe(), waited, queue, tuple(self._book.pots_of(queue)))

    def _explain_put_aside(self, request: Request, queue: ClassQueue) -> Explanation:
        obstacle = self._routing.obstacle(queue)
        why = f": {obstacle.explanation}" if obstacle is not None else ""
        return Explanation(f"{request.describe()} cannot run unless a node joins that has enough{why}")

    def _warning(self, request: Request, told: Explanation) -> WarnWaiting:
        client, group_id = (b"", request.client) if request.kind == GROUP else (request.client, b"")
        return WarnWaiting(client, request.id, told.text, told.holders, told.stuck, group_id)

    # --- looking inside -----------------------------------------------------------------------------------------------

    def total(self) -> dict[str, int]:
        """Returns what this node has, in ten-thousandths."""
        return dict(self._book.ledger.node.total)

    def available(self) -> dict[str, int]:
        """Returns what is free and not reserved, without what is used up (or owed)."""
        return {name: amount for name, amount in self._book.ledger.node.available.items() if amount > 0}

    def view(self) -> NodeView:
        """Returns what others need to know of this node."""
        return self._routing.view()

    def is_retired(self, worker_id: bytes) -> bool:
        """Returns whether a worker will run no more tasks, and is there only for its objects."""
        worker = self._book.pool.workers.get(worker_id)
        return worker is not None and worker.state == RETIRED

    def lease_of(self, worker_id: bytes) -> Lease | None:
        """Returns the lease that a worker has now."""
        return self._book.lease_of(worker_id)

    def leases_of(self, client: bytes) -> list[Lease]:
        """Returns the leases that a client has now."""
        return self._book.leases_of(client)

    def demand(self) -> list[tuple[ResourceSet, int]]:
        """Returns what is waited for: resources, and how many such leases."""
        waiting = [(queue, sum(party.wanted for party in queue.waiting())) for queue in self._book.turns]
        waiting += [(queue, request.remaining) for request, queue in self._put_aside.values()]
        return [(ResourceSet(queue.needed), count) for queue, count in waiting]

    def story(self, id: Hashable) -> list[str]:
        """Returns the last transitions of a lease (its number), a worker or a client (their ids), for people."""
        return self._book.story(id)

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        self._book.check()
        for queue in self._book.turns:
            assert self._book.room_for(queue) is None, f"{queue.key} has room, and waits"
