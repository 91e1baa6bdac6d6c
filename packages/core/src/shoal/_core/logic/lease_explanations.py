"""Why a request waits, in words: what it needs, what there is, and who holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shoal._core.logic.lease_queue import ACTOR, KIND_NAMES, ClassQueue, Lease, Request
from shoal._core.logic.ledger import Pot
from shoal._core.schema.resources import format_amount, format_amounts

HOLDERS_NAMED = 8


class Explanation:
    """Why something waits.

    Attributes:
        text: for people; begins with the one who waits.
        holders: who holds what it needs, one line each.
        stuck: none of those who hold it gives it back by itself: actors for life, and tasks that wait themselves.
    """

    __slots__ = ("holders", "stuck", "text")

    def __init__(self, text: str, holders: Sequence[str] = (), stuck: bool = False) -> None:
        self.text = text
        self.holders = tuple(holders)
        self.stuck = stuck


def explain_wait(who: str, waited: float, queue: ClassQueue, pots: Sequence[Pot]) -> Explanation:
    """Explains why a request has no resources yet.

    Args:
        who: 'task 'train''.
        waited: seconds.
        queue: where it waits.
        pots: what it may be given from; empty where its placement group is not reserved yet.
    """
    begin = f"{who} has waited {waited:.0f} s for {_needs(queue)}"
    if not pots:
        return Explanation(f"{begin}: placement group {queue.group_id.hex()} is not reserved yet")
    fitting = [pot for pot in pots if pot.could_hold(queue.needed)]
    if any(pot.fits(queue.needed) for pot in fitting):
        return Explanation(f"{begin}: it is free, but kept for a request that has waited longer and needs more")
    lacking = {name for pot in fitting for name in pot.lacks(queue.needed)}
    held = [lease for pot in fitting for lease in pot.leases.values() if _holds(lease, lacking)]
    there = "; ".join(_stock(pot, queue) for pot in fitting)
    lines = _holder_lines(held, lacking)
    text = f"{begin}. {there[:1].upper()}{there[1:]}."
    if lines:
        text += f" Held by {'; '.join(lines)}."
    stuck = bool(held) and all(lease.request.kind == ACTOR or lease.lent for lease in held)
    if stuck:
        text += _advice(held, lacking)
    return Explanation(text, lines, stuck)


def explain_start(request: Request, waited: float, environment_key: str) -> Explanation:
    """Explains why a request that has resources has no worker yet."""
    where = f" in the runtime environment {environment_key}" if environment_key else ""
    return Explanation(f"{request.describe()} has waited {waited:.0f} s for a worker process to start{where}")


def _needs(queue: ClassQueue) -> str:
    where = ""
    if queue.group_id:
        bundle = f"bundle {queue.bundle_index}" if queue.bundle_index >= 0 else "a bundle"
        where = f" in {bundle} of placement group {queue.group_id.hex()[:8]}"
    return (format_amounts(dict(queue.needed)) if queue.needed else "a worker") + where


def _stock(pot: Pot, queue: ClassQueue) -> str:
    has = format_amounts({name: pot.total.get(name, 0) for name, _ in queue.needed})
    free = format_amounts({name: max(0, pot.available.get(name, 0)) for name, _ in queue.needed})
    return f"{pot.describe()} has {has}; free: {free}"


def _holds(lease: Lease, names: set[str]) -> bool:
    return any(name in names and amount > 0 for name, amount in lease.held())


def _holder_lines(leases: Iterable[Lease], names: set[str]) -> list[str]:
    """One line for all leases of one name, the largest holders first."""
    sums: dict[tuple[str, str], tuple[int, dict[str, int]]] = {}
    for lease in leases:
        request = lease.request
        key = (request.describe(), _manner(lease))
        count, amounts = sums.get(key, (0, {}))
        for name, amount in lease.held():
            if name in names and amount:
                amounts[name] = amounts.get(name, 0) + amount
        sums[key] = (count + 1, amounts)
    ranked = sorted(sums.items(), key=lambda item: -sum(item[1][1].values()))
    lines = [
        f"{name} {manner}{f', {count} of them' if count > 1 else ''} ({format_amounts(amounts)})"
        for (name, manner), (count, amounts) in ranked[:HOLDERS_NAMED]
    ]
    if len(ranked) > HOLDERS_NAMED:
        lines.append(f"{len(ranked) - HOLDERS_NAMED} others")
    return lines


def _manner(lease: Lease) -> str:
    if lease.request.kind == ACTOR:
        return "for its life"
    if lease.lent:
        return "waiting in get or wait"
    return "starting" if lease.worker is None else "running"


def _advice(held: Sequence[Lease], lacking: set[str]) -> str:
    kinds = sorted({KIND_NAMES[lease.request.kind] for lease in held})
    what = " and ".join(sorted(lacking))
    if kinds == ["actor"]:
        return (
            f" All of it is held by actors, which keep it until they end: unless one does, this waits for ever. Make fewer"
            f" actors, let them hold less {what}, or start the session with more."
        )
    return (
        f" Those who hold it wait themselves, and a task that waits lends its CPU only: if they wait for this one, none of"
        f" them can go on. Ask for less {what}, or start the session with more."
    )


def infeasible_in_group(queue: ClassQueue, pots: Sequence[Pot]) -> str:
    """Says why no bundle could ever hold what the queue asks for."""
    has = "; ".join(f"bundle {pot.index} has {format_amounts(pot.total)}" for pot in pots)
    return f"it needs {format_amounts(dict(queue.needed))} in placement group {queue.group_id.hex()}, but {has}"


def describe_lease(lease: Lease) -> str:
    """Returns one line about a lease, for people."""
    amounts = ", ".join(format_amount(name, amount) for name, amount in lease.held()) or "nothing"
    worker = lease.worker.id.hex()[:8] if lease.worker is not None else "none yet"
    return (
        f"lease {lease.id} for {lease.request.describe()} holds {amounts} of {lease.pot.describe()} since {lease.since:.3f},"
        f" worker {worker}"
    )
