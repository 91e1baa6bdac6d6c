"""Whose leases are asked back when others wait: a pure choice.

A client keeps a lease while it has tasks for it, and a little longer. When somebody waits for what it holds, it is asked to give
it back after the tasks it has begun. Whom to ask:

    - nobody, where leases that were asked back already, once returned, are enough;
    - first those that wait for no lease themselves: theirs may be idle;
    - of those that wait too, the party with the most leases, while it has two more than the one that waits (which would get
      one: taking from equals would only swap roles), or while the one that waits has none: then they take turns.

Actors keep their lease for life, and a task that waits has lent its CPU already: neither is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shoal._core.logic.lease_queue import ACTOR, ClassQueue, Lease, Party
from shoal._core.logic.ledger import Pot

Candidates = Callable[[ClassQueue], Iterable[Pot]]


class Outlook:
    """What a pot will have when all that was asked back is there."""

    __slots__ = ("askable", "pot")

    def __init__(self, pot: Pot) -> None:
        self.pot = pot.copy()
        self.askable: list[Lease] = []
        for lease in pot.leases.values():
            if lease.request.kind == ACTOR:
                continue
            if lease.reclaimed:
                self.pot.give(lease.held(), lease.shares)
            else:
                self.askable.append(lease)

    def take(self, queue: ClassQueue) -> None:
        for amounts in queue.bundles or (queue.amounts,):
            self.pot.take(amounts)


def choose_leases_to_reclaim(queues: Iterable[ClassQueue], pots_of: Candidates) -> list[Lease]:
    """Returns the leases to ask back now.

    Args:
        queues: those with waiting parties, next first.
        pots_of: the pots that a queue's leases may be taken from.
    """
    outlooks: dict[int, Outlook] = {}
    chosen: list[Lease] = []
    for queue in queues:
        choices = []
        for pot in pots_of(queue):
            if id(pot) not in outlooks:
                outlooks[id(pot)] = Outlook(pot)
            if pot.could_hold(queue.needed):
                choices.append(outlooks[id(pot)])
        if any(outlook.askable for outlook in choices):
            for party in queue.waiting():
                if not _reclaim_for(party, choices, chosen) and party.starved:
                    # Nobody may ask for more than one who has nothing.
                    break
    return chosen


def _reclaim_for(party: Party, choices: list[Outlook], chosen: list[Lease]) -> bool:
    """Adds what is to be asked back for one party. Returns whether all that it waits for will be there."""
    queue = party.queue
    has = 0 if party.starved else len(party.leases)
    for _ in range(party.wanted):
        for outlook in choices:
            if not queue.fits(outlook.pot):
                victims = _victims(outlook, party, has)
                if not victims:
                    continue
                chosen.extend(victims)
            outlook.take(queue)
            break
        else:
            return False
        has += 1
    return True


def _victims(outlook: Outlook, waiting: Party, has: int) -> list[Lease]:
    """Returns leases that together make room for one more of `waiting`'s; none where no such leases may be asked for.

    The outlook then has what they hold.
    """
    queue = waiting.queue
    pot = outlook.pot.copy()
    held: dict[Party, int] = {}
    for lease in outlook.askable:
        held[lease.party] = held.get(lease.party, 0) + 1
    victims: list[Lease] = []
    candidates = [lease for lease in outlook.askable if lease.party is not waiting]
    while not queue.fits(pot):
        lacking = pot.lacks(queue.needed) or [name for name, _ in queue.needed]
        best: Lease | None = None
        best_rank = (0, 0)
        for lease in candidates:
            rank = (0 if lease.party.requests else 1, held[lease.party])
            if rank > best_rank and _may_ask(lease.party, held[lease.party], has) and _helps(lease, lacking):
                best, best_rank = lease, rank
        if best is None:
            return []
        candidates.remove(best)
        held[best.party] -= 1
        victims.append(best)
        pot.give(best.held(), best.shares)
    outlook.pot = pot
    outlook.askable = [lease for lease in outlook.askable if lease not in victims]
    return victims


def _may_ask(owner: Party, held: int, has: int) -> bool:
    return not owner.requests or has == 0 or held >= has + 2


def _helps(lease: Lease, lacking: list[str]) -> bool:
    return any(amount > 0 and name in lacking for name, amount in lease.held())
