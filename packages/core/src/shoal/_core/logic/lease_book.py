"""The books of one node's scheduler: who waits, who holds what, which worker has which lease.

Each move here keeps all tables in agreement; which move is made when is decided in `leases`. `check` says what agreement means.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Mapping

from shoal._core.logic.lease_effects import Effect, Grant, StopWorker
from shoal._core.logic.lease_explanations import describe_lease
from shoal._core.logic.lease_patience import Patience
from shoal._core.logic.lease_queue import TASK, ClassQueue, Lease, Party, Request
from shoal._core.logic.ledger import Ledger, Pot
from shoal._core.logic.worker_pool import KILL, Worker, WorkerPool

HISTORY = 2000


class LeaseBook:
    """All tables.

    Args:
        total: what the node has, in ten-thousandths.
        warm_workers: how many idle workers are kept.
        most_starting: how many workers may be starting at a time.
    """

    def __init__(self, total: Mapping[str, int], warm_workers: int, most_starting: int) -> None:
        self.ledger = Ledger(total)
        self.pool = WorkerPool(warm_workers, most_starting)
        self.patience = Patience()
        self.queues: dict[Hashable, ClassQueue] = {}
        self.turns: OrderedDict[ClassQueue, None] = OrderedDict()
        """Queues in which somebody waits, next first."""
        self.requests: dict[tuple[bytes, int], Request] = {}
        """(client, request id) -> those that have grants to come."""
        self.parties: dict[bytes, dict[ClassQueue, Party]] = {}
        """Client -> its parties."""
        self.leases: dict[int, Lease] = {}
        self.starting: dict[str, OrderedDict[int, Lease]] = {}
        """Environment -> leases that have resources and wait for a worker."""
        self.unready: set[str] = set()
        """Environments that are being made."""
        self._last_lease_id = 0
        self._history: deque[tuple[float, str, tuple[Hashable, ...], str]] = deque(maxlen=HISTORY)

    # --- looking up ---------------------------------------------------------------------------------------------------

    def lease_of(self, worker_id: bytes) -> Lease | None:
        """Returns the lease that a worker has now."""
        worker = self.pool.workers.get(worker_id)
        return worker.lease if worker is not None else None

    def leases_of(self, client: bytes) -> list[Lease]:
        """Returns the leases that a client has now."""
        return [lease for party in self.parties.get(client, {}).values() for lease in party.leases.values()]

    def pots_of(self, queue: ClassQueue) -> Iterable[Pot]:
        """Returns what the leases of a queue may be taken from."""
        return self.ledger.candidates(queue.group_id, queue.bundle_index)

    def room_for(self, queue: ClassQueue) -> Pot | None:
        """Returns what the queue's next lease can be taken from now; None where it has to wait."""
        if queue.environment_key in self.unready or queue.room_found:
            return None
        if not queue.group_id:
            node = self.ledger.node
            return node if queue.fits(node) and self.patience.leaves_enough(node, queue) else None
        for pot in self.pots_of(queue):
            if queue.fits(pot):
                return pot
        return None

    # --- waiting ------------------------------------------------------------------------------------------------------

    def enter(self, request: Request, queue: ClassQueue, now: float) -> None:
        """A request begins to wait for its turn."""
        client = request.client
        parties = self.parties.get(client)
        if parties is None:
            parties = self.parties[client] = {}
        party = parties.get(queue)
        if party is None:
            party = parties[queue] = queue.parties[client] = Party(client, queue)
            self.queues[queue.key] = queue
        request.party = party
        party.requests.append(request)
        self.requests[client, request.id] = request
        queue.enter(party, now)
        self.turns[queue] = None
        waiting_task = self.lease_of(client)
        if waiting_task is not None and waiting_task.lent and waiting_task.request.kind == TASK:
            queue.prefer(party)

    def withdraw(self, request: Request, now: float, waiting_only: bool = False) -> None:
        """No more grants for a request, except (`waiting_only`) those that wait for their worker."""
        party = request.party
        assert party is not None, "a request that waits is in a party"
        if request.remaining:
            party.requests.remove(request)
            request.to_come -= request.remaining
            request.remaining = 0
        if not waiting_only and request.to_come:
            for lease in list(self.starting[party.queue.environment_key].values()):
                if lease.request is request:
                    self._close(lease, "cancelled", now)
            request.to_come = 0
        if request.to_come == 0:
            self.requests.pop((request.client, request.id), None)
        self._settle(party)

    def requeue(self, lease: Lease, now: float) -> None:
        """A lease that waits for a worker gives its resources back, and its request waits for its turn again."""
        request, party = lease.request, lease.party
        self._close(lease, "requeued", now)
        if request.remaining == 0:
            party.requests.appendleft(request)
        request.remaining += 1
        party.queue.enter(party, now)
        self.turns[party.queue] = None

    # --- leasing ------------------------------------------------------------------------------------------------------

    def take(self, queue: ClassQueue, pot: Pot, now: float) -> Lease:
        """The queue's next party takes the resources of one lease, which now waits for a worker."""
        party = queue.next_party()
        request = party.requests[0]
        request.remaining -= 1
        if request.remaining == 0:
            party.requests.popleft()
        self._last_lease_id += 1
        lease = Lease(self._last_lease_id, request, party, pot, queue.amounts, pot.take(queue.amounts), now)
        self.leases[lease.id] = pot.leases[lease.id] = party.leases[lease.id] = lease
        queue.served(party, now)
        if not queue.is_waiting:
            self.turns.pop(queue, None)
        self.patience.drop_claim(queue)
        environment_key = queue.environment_key
        starting = self.starting.get(environment_key)
        if starting is None:
            starting = self.starting[environment_key] = OrderedDict()
        starting[lease.id] = lease
        return lease

    def grant_next(self, environment_key: str, now: float) -> Grant | None:
        """The first lease that waits for a worker of this environment gets an idle one; None where there is none."""
        worker = self.pool.take(environment_key)
        if worker is None:
            return None
        starting = self.starting[environment_key]
        lease = starting.popitem(last=False)[1]
        if not starting:
            del self.starting[environment_key]
        lease.worker = worker
        worker.lease = lease
        request = lease.request
        request.to_come -= 1
        if request.to_come == 0:
            del self.requests[request.client, request.id]
        self._note(now, "granted", lease, worker)
        return Grant(
            request.client,
            request.id,
            lease.id,
            worker.id,
            lease.party.queue.scheduling_class.resources,
            tuple([gpu for gpu, _ in lease.shares]),
            request.to_come,
            lease.pot.index,
        )

    def end(self, lease: Lease, how: str, now: float) -> None:
        """A lease is no more; its resources are free."""
        self._close(lease, how, now)
        party = lease.party
        if not party.leases and not party.requests:
            self._settle(party)

    def kill(self, lease: Lease, reason: str, effects: list[Effect]) -> None:
        """The worker of a lease has to die; until it has, it holds what it holds."""
        if lease.worker is not None:
            lease.worker.move(KILL)
            effects.append(StopWorker(lease.worker.id, reason, True))

    # --- bookkeeping --------------------------------------------------------------------------------------------------

    def _close(self, lease: Lease, how: str, now: float) -> None:
        lease.release()
        del self.leases[lease.id]
        party = lease.party
        del party.leases[lease.id]
        if lease.worker is None:
            environment_key = party.queue.environment_key
            starting = self.starting[environment_key]
            del starting[lease.id]
            if not starting:
                del self.starting[environment_key]
        self._note(now, how, lease, lease.worker)

    def _settle(self, party: Party) -> None:
        """Forgets a party, and its queue, where nothing is left of them."""
        queue = party.queue
        if not party.requests:
            queue.leave(party)
            if not party.leases:
                del queue.parties[party.client]
                parties = self.parties[party.client]
                del parties[queue]
                if not parties:
                    del self.parties[party.client]
        if not queue.is_waiting:
            self.turns.pop(queue, None)
            self.patience.drop_claim(queue)
            if not queue.parties:
                del self.queues[queue.key]

    def _note(self, now: float, what: str, lease: Lease, worker: Worker | None) -> None:
        request = lease.request
        ids = (lease.id, request.client, worker.id if worker is not None else b"")
        self._history.append((now, what, ids, request.name))

    # --- looking inside -----------------------------------------------------------------------------------------------

    def story(self, id: Hashable) -> list[str]:
        """Returns the last transitions of a lease (its number), a worker or a client (their ids), for people."""
        lines = [
            f"{now:.3f}: lease {ids[0]} for {name!r} {what}" for now, what, ids, name in self._history if id in ids
        ]
        lease = self.leases.get(id) if isinstance(id, int) else None
        return [*lines, describe_lease(lease)] if lease is not None else lines

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        self.ledger.check()
        self.pool.check()
        for key, queue in self.queues.items():
            queue.check()
            assert queue.key == key and queue.parties
            assert queue.is_waiting == (queue in self.turns), f"queue {key}: waiting and having turns go together"
        assert all(queue.key in self.queues for queue in self.turns)
        for client, parties in self.parties.items():
            assert parties
            for queue, party in parties.items():
                assert self.queues[queue.key].parties[client] is party
        assert self.patience.claim is None or self.patience.claim in self.turns
        assert self.leases == {lease.id: lease for pot in self.ledger.pots() for lease in pot.leases.values()}
        starting = {lease.id for leases in self.starting.values() for lease in leases.values()}
        for lease in self.leases.values():
            assert (lease.worker is None) == (lease.id in starting)
            assert lease.worker is None or lease.worker.lease is lease
            assert lease.party.leases[lease.id] is lease
            assert self.parties[lease.request.client][lease.party.queue] is lease.party
        for request in self.requests.values():
            assert request.to_come >= request.remaining >= 0 and request.to_come > 0
