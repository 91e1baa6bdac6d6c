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
    """What a pot will have when all that was asked back is there, and who has leases that can still be asked back."""

    __slots__ = ("askable", "held", "pot")

    def __init__(self, pot: Pot) -> None:
        self.pot = pot.copy()
        self.askable: list[Lease] = []
        self.held: dict[Party, int] = {}
        """Party -> how many of the askable are its."""
        for lease in pot.leases.values():
            if lease.request.kind == ACTOR or lease.worker is None:
                continue
            if lease.reclaimed:
                self.pot.give(lease.held(), lease.shares)
            else:
                self.askable.append(lease)
                self.held[lease.party] = self.held.get(lease.party, 0) + 1

    def has_victims_for(self, has: int) -> bool:
        """Returns whether anybody may be asked at all by a party with so many leases."""
        return any(_may_ask(owner, held, has) for owner, held in self.held.items())

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
        if not any(outlook.askable for outlook in choices):
            continue
        # Who has as many leases as somebody who asked in vain asks in vain as well.
        vain = 1 << 62
        for party in queue.waiting():
            has = 0 if party.starved else len(party.leases)
            if has < vain:
                vain = min(vain, _reclaim_for(party, has, choices, chosen))
                if vain == 0:
                    break
    return chosen


def _reclaim_for(party: Party, has: int, choices: list[Outlook], chosen: list[Lease]) -> int:
    """Adds what is to be asked back for one party that has some leases. Returns with how many it asked in vain."""
    queue = party.queue
    for has_then in range(has, has + party.wanted):
        for outlook in choices:
            if not queue.fits(outlook.pot):
                victims = _victims(outlook, party, has_then) if outlook.has_victims_for(has_then) else []
                if not victims:
                    continue
                chosen.extend(victims)
            outlook.take(queue)
            break
        else:
            return has_then
    return 1 << 62


def _victims(outlook: Outlook, waiting: Party, has: int) -> list[Lease]:
    """Returns leases that together make room for one more of `waiting`'s; none where no such leases may be asked for.

    The outlook then has what they hold.
    """
    queue = waiting.queue
    pot = outlook.pot.copy()
    held = dict(outlook.held)
    victims: list[Lease] = []
    candidates = [lease for lease in outlook.askable if lease.party is not waiting]
    while not queue.fits(pot):
        lacking = pot.lacks(queue.needed) or [name for name, _ in queue.needed]
        best: Lease | None = None
        best_rank = (0, 0)
        for lease in candidates:
            owner = lease.party
            rank = (0 if owner.requests else 1, held[owner])
            if rank > best_rank and _may_ask(owner, held[owner], has) and _helps(lease, lacking):
                best, best_rank = lease, rank
        if best is None:
            return []
        candidates.remove(best)
        held[best.party] -= 1
        victims.append(best)
        pot.give(best.held(), best.shares)
    outlook.pot = pot
    outlook.held = held
    outlook.askable = [lease for lease in outlook.askable if lease not in victims]
    return victims


def _may_ask(owner: Party, held: int, has: int) -> bool:
    return held > 0 and (not owner.requests or has == 0 or held >= has + 2)


def _helps(lease: Lease, lacking: list[str]) -> bool:
    return any(amount > 0 and name in lacking for name, amount in lease.held())
