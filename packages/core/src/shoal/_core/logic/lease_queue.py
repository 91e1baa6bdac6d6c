"""Who waits for leases, in which order, and who holds them.

A *queue* has the requests of one scheduling class. In it stand *parties*: one for each client, with its requests in the order
of arrival. Parties take turns, one lease a turn, those that hold the least first, so no client starves another. A client that
is itself a task waiting for these leases comes before the others: its result is what somebody waits for, and it holds a process
meanwhile; but not once one of the others has waited long without a single lease (`hungry`).

What a placement group wants to reserve stands in line like a request, with a queue of its own.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from shoal._core.logic.ledger import Amounts, GpuShares, Pot
from shoal._core.schema.resources import CPU, ResourceSet, SchedulingClass, is_node_mark

if TYPE_CHECKING:
    from shoal._core.logic.worker_pool import Worker

TASK = 0
ACTOR = 1
GROUP = 2
"""Not a lease: a placement group that wants to reserve its bundles."""
KIND_NAMES = {TASK: "task", ACTOR: "actor", GROUP: "placement group"}
COMPARED = 16
"""So many parties that are next in line are compared by what they hold."""


class Request:
    """One request: `count` leases, granted one by one."""

    __slots__ = ("arrived", "client", "id", "kind", "name", "party", "remaining", "to_come", "warned")

    def __init__(self, client: bytes, id: int, kind: int, name: str, count: int, arrived: float) -> None:
        self.client = client
        self.id = id
        self.kind = kind
        self.name = name
        """For people: the function or class."""
        self.remaining = count
        """Leases that have no resources yet."""
        self.to_come = count
        """Grants that have not been made: `remaining`, and those that wait for a worker."""
        self.arrived = arrived
        self.warned = False
        self.party: Party | None = None

    def describe(self) -> str:
        return f"{KIND_NAMES[self.kind]} {self.name!r}"


class Lease:
    """Resources, and a worker to use them: for one client, until it gives them back; for an actor, for life."""

    __slots__ = ("amounts", "id", "lent", "party", "pot", "reclaimed", "request", "shares", "since", "worker")

    def __init__(
        self, id: int, request: Request, party: Party, pot: Pot, amounts: Amounts, shares: GpuShares, now: float
    ) -> None:
        self.id = id
        self.request = request
        self.party = party
        self.pot = pot
        self.amounts = amounts
        self.shares = shares
        self.since = now
        self.worker: Worker | None = None
        """None while one is being started."""
        self.lent = 0
        """So much of its CPU is free for others while its task waits."""
        self.reclaimed = False

    def held(self) -> Amounts:
        """What it really holds now."""
        if not self.lent:
            return self.amounts
        return tuple((name, amount - self.lent if name == CPU else amount) for name, amount in self.amounts)

    def release(self) -> None:
        """Puts everything back."""
        pot = self.pot
        pot.give(self.amounts, self.shares)
        if self.lent:
            pot.take_back_cpu(self.lent)
            self.lent = 0
        del pot.leases[self.id]


class Party:
    """One client in one queue: what it waits for, and what it holds."""

    __slots__ = ("client", "leases", "queue", "requests", "waiting_since")

    def __init__(self, client: bytes, queue: ClassQueue) -> None:
        self.client = client
        self.queue = queue
        self.requests: deque[Request] = deque()
        """Those that still need resources."""
        self.leases: dict[int, Lease] = {}
        self.waiting_since = 0.0
        """When it began to wait, or got its last lease."""

    @property
    def wanted(self) -> int:
        return sum(request.remaining for request in self.requests)

    @property
    def starved(self) -> bool:
        """It waits, and has nothing to work with. Every actor that waits does."""
        return bool(self.requests) and (not self.leases or self.requests[0].kind == ACTOR)


class ClassQueue:
    """The parties of one scheduling class."""

    __slots__ = (
        "amounts",
        "bundle_index",
        "bundles",
        "environment_key",
        "group_id",
        "hungry",
        "key",
        "needed",
        "nested",
        "others",
        "parties",
        "rests_until",
        "room_found",
        "scheduling_class",
    )

    def __init__(
        self,
        key: Hashable,
        scheduling_class: SchedulingClass,
        placement: ResourceSet | None = None,
        bundles: tuple[Amounts, ...] = (),
    ) -> None:
        resources = scheduling_class.resources
        self.key = key
        self.scheduling_class = scheduling_class
        self.environment_key = scheduling_class.environment_key
        self.group_id = scheduling_class.placement_group_id
        self.amounts = resources.amounts
        """What a lease holds."""
        self.needed = resources.amounts if placement is None else resources.largest_of_each(placement).amounts
        """What must be free for one."""
        if self.group_id:
            # The group has chosen its node already.
            self.amounts = tuple(part for part in self.amounts if not is_node_mark(part[0]))
            self.needed = tuple(part for part in self.needed if not is_node_mark(part[0]))
        self.bundle_index = scheduling_class.bundle_index
        self.parties: dict[bytes, Party] = {}
        self.nested: OrderedDict[Party, None] = OrderedDict()
        self.others: OrderedDict[Party, None] = OrderedDict()
        self.hungry = False
        """One of the others has waited for long without a lease."""
        self.rests_until = 0.0
        """It has kept others waiting for long enough, and may not do so until then."""
        self.bundles = bundles
        """What a placement group wants to reserve; empty for requests of leases."""
        self.room_found = False
        """The placement group was told that there is room."""

    def fits(self, pot: Pot) -> bool:
        """Returns whether the pot has room for one more of these."""
        if self.bundles:
            return pot.fits_all(self.bundles)
        return pot.fits(self.needed)

    @property
    def is_waiting(self) -> bool:
        return bool(self.nested or self.others)

    def waiting(self) -> Iterator[Party]:
        """Yields the parties that wait, next first."""
        first, then = (self.others, self.nested) if self.hungry else (self.nested, self.others)
        yield from first
        yield from then

    def next_party(self) -> Party:
        """Returns whose turn it is: among those next in line, the first that holds the least."""
        line = self.nested if self.nested and not (self.hungry and self.others) else self.others
        best: Party | None = None
        for party in islice(line, COMPARED):
            if not party.leases:
                return party
            if best is None or len(party.leases) < len(best.leases):
                best = party
        assert best is not None, "somebody waits"
        return best

    def enter(self, party: Party, now: float) -> None:
        """A party begins to wait."""
        if party not in self.nested and party not in self.others:
            party.waiting_since = now
            self.others[party] = None

    def prefer(self, party: Party) -> None:
        """A party's client is a task that waits for what it asked for."""
        if party in self.others:
            del self.others[party]
            self.nested[party] = None

    def leave(self, party: Party) -> None:
        """A party waits for nothing any more."""
        self.nested.pop(party, None)
        self.others.pop(party, None)

    def served(self, party: Party, now: float) -> None:
        """A party got one lease: the next one's turn."""
        party.waiting_since = now
        line = self.nested if party in self.nested else self.others
        if line is self.others:
            self.hungry = False
        if party.requests:
            line.move_to_end(party)
        else:
            line.pop(party, None)

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for party in self.parties.values():
            waits = party in self.nested or party in self.others
            assert waits == bool(party.requests), f"party of {self.key} waits: {waits}, requests: {len(party.requests)}"
            assert party.requests or party.leases, "a party with nothing is forgotten"
            assert all(request.remaining > 0 for request in party.requests)
