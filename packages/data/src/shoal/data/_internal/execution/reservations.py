"""How many actors pools begin with, and whether stages reserve processors, so that any mix of stages runs to its end. Pure.

Actors keep what they reserve until the plan has run. Where pools and the tasks beside them ask for more processors than there are,
none of them reserves any: which stage works is then the executor's policy alone, and stages take turns. Devices and other resources
cannot be shared like that: a mix that asks for more of them than there are is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.data.exceptions import InvalidArgumentError

CPU = "CPU"


@dataclass(frozen=True)
class Demand:
    """What one stage asks for.

    Args:
        name: the stage's.
        cpus: processors of each of its tasks or actors.
        is_explicit: whether the user asked for that number of processors.
        others: other resources of each, by name.
        actors: that a pool begins with; None for a stage of tasks.
        most_actors: of a pool; None for any number.
    """

    name: str
    cpus: float
    is_explicit: bool = False
    others: Mapping[str, float] = field(default_factory=dict)
    actors: int | None = None
    most_actors: int | None = None


@dataclass(frozen=True)
class Reservations:
    """What the stages get.

    Args:
        reserves_cpus: whether tasks and actors reserve the processors that they use.
        first_actors: of each stage; 0 for one of tasks.
        most_actors: of each stage; None for any number.
    """

    reserves_cpus: bool
    first_actors: tuple[int, ...]
    most_actors: tuple[int | None, ...]


def reserve(demands: Sequence[Demand], there: Mapping[str, float], cpus: float, free_cpus: float) -> Reservations:
    """Returns what the stages of a plan get.

    Args:
        demands: of all stages.
        there: all resources of the session.
        cpus: processors that the plan may use.
        free_cpus: processors that nobody holds now.

    Raises:
        InvalidArgumentError: (a ValueError) a stage can never run: by itself, or beside the pools of the plan.
    """
    for demand in demands:
        _check_alone(demand, there)
    first = _first_actors(demands, there, cpus)
    held = sum(demand.cpus * count for demand, count in zip(demands, first, strict=True))
    beside = max((demand.cpus for demand in demands if demand.actors is None), default=0.0)
    left = {name: amount - _held(demands, first, name) for name, amount in there.items()}
    most = tuple(_most(demand, count, left) for demand, count in zip(demands, first, strict=True))
    return Reservations(held + beside <= min(cpus, free_cpus), tuple(first), most)


def _check_alone(demand: Demand, there: Mapping[str, float]) -> None:
    for name, amount in [(CPU, demand.cpus if demand.is_explicit else 0.0), *demand.others.items()]:
        if amount > there.get(name, 0.0):
            raise InvalidArgumentError(
                f"{demand.name} can never run: it asks for {_shown(name, amount)}, and there are {_shown(name, there.get(name, 0.0))}; "
                f"ask for less, or start the session with more"
            )


def _first_actors(demands: Sequence[Demand], there: Mapping[str, float], cpus: float) -> list[int]:
    """One actor for each pool, then one more for each in turn, up to what it asked for, while that fits."""
    counts = [0 if demand.actors is None else 1 for demand in demands]
    for name in sorted({name for demand in demands for name in demand.others}):
        amount = there.get(name, 0.0)
        tasks = max((demand.others.get(name, 0.0) for demand in demands if demand.actors is None), default=0.0)
        if _held(demands, counts, name) + tasks > amount:
            names = " and ".join(demand.name for demand in demands if demand.others.get(name))
            raise InvalidArgumentError(
                f"{names} can never run together: actors keep what they have until the plan has run, and there are {_shown(name, amount)}; "
                f"ask for less, or materialize() between them"
            )
    while True:
        before = list(counts)
        for position, demand in enumerate(demands):
            if demand.actors is None or counts[position] >= demand.actors:
                continue
            counts[position] += 1
            if not _fits(demands, counts, there, cpus):
                counts[position] -= 1
        if counts == before:
            return counts


def _fits(demands: Sequence[Demand], counts: Sequence[int], there: Mapping[str, float], cpus: float) -> bool:
    explicit = sum(demand.cpus * count for demand, count in zip(demands, counts, strict=True) if demand.is_explicit)
    if explicit > cpus:
        return False
    for name in {name for demand in demands for name in demand.others}:
        tasks = max((demand.others.get(name, 0.0) for demand in demands if demand.actors is None), default=0.0)
        if _held(demands, counts, name) + tasks > there.get(name, 0.0):
            return False
    return True


def _held(demands: Sequence[Demand], counts: Sequence[int], name: str) -> float:
    return sum(demand.others.get(name, 0.0) * count for demand, count in zip(demands, counts, strict=True))


def _most(demand: Demand, first: int, left: Mapping[str, float]) -> int | None:
    """To how many actors a pool may grow: not beyond the devices that are left."""
    if demand.actors is None or first < demand.actors:
        return first
    bounds = [first + int(max(0.0, left.get(name, 0.0)) // amount) for name, amount in demand.others.items() if amount]
    bounds += [demand.most_actors] if demand.most_actors is not None else []
    return min(bounds, default=None)


def _shown(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / (1 << 30):.1f} GiB of memory"
    return f"{amount:g} {name}"
