"""What waiting brings a request that has nothing yet.

    0 s    it takes its turn
    2 s    it is *hungry*: it goes before the tasks of waiting tasks; and one at a time may *claim* what it needs: what others
           return is kept for it until it has enough (else a request for four CPUs would never find four free at once)
    10 s   the user is told why it waits, and who holds what it needs
    12 s   the claim has lapsed, for as long as it lasted: what it waits for may itself wait for others

What a placement group wants to reserve may claim at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shoal._core.logic.lease_queue import ACTOR, ClassQueue, Lease, Party, Request
from shoal._core.logic.ledger import Pot

HUNGRY_AFTER = 2.0
CLAIM_SECONDS = 10.0
WARN_AFTER = 10.0


class Patience:
    """Claims, and when something is next due."""

    __slots__ = ("claim", "claimed", "deadline", "lapses")

    def __init__(self) -> None:
        self.claim: ClassQueue | None = None
        self.claimed: dict[str, int] = {}
        self.lapses = 0.0
        self.deadline: float | None = None
        """When `Leases.tick` must be called next; it may be early, never late."""

    def due(self, when: float) -> None:
        if self.deadline is None or when < self.deadline:
            self.deadline = when

    def set_claim(self, queue: ClassQueue, now: float) -> None:
        """From now on, what the queue needs is kept for it."""
        self.claim = queue
        self.claimed = dict(queue.needed)
        self.lapses = now + CLAIM_SECONDS
        self.due(self.lapses)

    def drop_claim(self, queue: ClassQueue) -> None:
        """The queue got what it claimed, or wants it no more."""
        if self.claim is queue:
            self.claim = None
            self.claimed = {}
            self.due(0.0)  # Somebody else may be waiting to claim.

    def leaves_enough(self, node: Pot, queue: ClassQueue) -> bool:
        """Returns whether the queue may take from the node what it needs, whatever is claimed by another."""
        if self.claim is None or self.claim is queue:
            return True
        if queue.bundles and self.claim.room_found:
            return (
                False  # One placement group after the other: what was found for the first is kept until it is settled.
            )
        available, claimed = node.available, self.claimed
        return all(name not in claimed or available[name] - claimed[name] >= amount for name, amount in queue.needed)

    def update(self, queues: Iterable[ClassQueue], node: Pot, now: float) -> bool:
        """Time has passed. Returns whether somebody may get now what it could not get before."""
        changed = False
        claim = self.claim
        if claim is not None and now >= self.lapses:
            claim.rests_until = now + CLAIM_SECONDS
            claim.room_found = False
            self.drop_claim(claim)
            changed = True
        candidates: list[tuple[float, ClassQueue]] = []
        for queue in queues:
            hungry_since = min((party.waiting_since for party in queue.waiting() if party.starved), default=None)
            if hungry_since is None:
                continue
            if now >= hungry_since + HUNGRY_AFTER and not queue.hungry:
                queue.hungry = changed = True
            ready = hungry_since if queue.bundles else hungry_since + HUNGRY_AFTER
            ready = max(ready, queue.rests_until)
            if ready > now:
                self.due(ready)
            elif not queue.group_id and _can_drain(queue, node):
                candidates.append((hungry_since, queue))
        if self.claim is None and candidates:
            self.set_claim(min(candidates, key=lambda candidate: candidate[0])[1], now)
            changed = True
        if self.claim is not None:
            self.due(self.lapses)
        return changed

    def to_warn_about(self, queues: Iterable[ClassQueue], now: float) -> list[Party]:
        """Returns parties whose wait the user should know about: one of a queue."""
        told: list[Party] = []
        for queue in queues:
            one_told = False
            for party in queue.waiting():
                if not party.starved or party.requests[0].warned:
                    continue
                if now >= party.waiting_since + WARN_AFTER:
                    party.requests[0].warned = True
                    if not one_told:
                        told.append(party)
                        one_told = True
                else:
                    self.due(party.waiting_since + WARN_AFTER)
        return told

    def slow_starts(self, starting: Mapping[str, Mapping[int, Lease]], now: float) -> list[tuple[str, Lease]]:
        """Returns leases that have waited long for a worker, with the environment: one of a request."""
        told: list[tuple[str, Lease]] = []
        for environment_key, leases in starting.items():
            for lease in leases.values():
                if now < lease.since + WARN_AFTER:
                    self.due(lease.since + WARN_AFTER)
                    break
                if not lease.request.warned:
                    lease.request.warned = True
                    told.append((environment_key, lease))
        return told

    def long_put_aside(
        self, put_aside: Iterable[tuple[Request, ClassQueue]], now: float
    ) -> list[tuple[Request, ClassQueue]]:
        """Returns requests that nobody has been able to meet for long, and whose user has not been told."""
        told: list[tuple[Request, ClassQueue]] = []
        for request, queue in put_aside:
            if now < request.arrived + WARN_AFTER:
                self.due(request.arrived + WARN_AFTER)
            elif not request.warned:
                request.warned = True
                told.append((request, queue))
        return told


def _can_drain(queue: ClassQueue, node: Pot) -> bool:
    """Returns whether there would be enough if all tasks ended: what actors and bundles hold does not come back by waiting."""
    free = dict(node.available)
    for lease in node.leases.values():
        if lease.request.kind != ACTOR:
            for name, amount in lease.held():
                free[name] = free.get(name, 0) + amount
    return all(free.get(name, 0) >= amount for name, amount in queue.needed)
