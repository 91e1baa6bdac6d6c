"""Which executors there are, and whether there is room for one more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Bundles = tuple[dict[str, float], ...]

STARTING, IDLE, BUSY = "STARTING", "IDLE", "BUSY"


@dataclass(eq=False)
class Executor:
    """A process that runs trials of one shape, one after the other."""

    number: int
    bundles: Bundles
    status: str = STARTING
    trials: int = 0
    """That it has begun."""


class Slots:
    """The executors of one search.

    Args:
        total: resources of all machines, by name.
        limit: executors at a time; None for as many as there is room for.
    """

    def __init__(self, total: Mapping[str, float], limit: int | None) -> None:
        self._total = dict(total)
        self._limit = limit if limit is not None else max(16, int(4 * total.get("CPU", 4)))
        self._executors: dict[int, Executor] = {}
        self._used: dict[str, float] = {}
        self._next = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._executors.values()))

    def __len__(self) -> int:
        return len(self._executors)

    def get(self, number: int) -> Executor | None:
        """Returns an executor; None where it has gone."""
        return self._executors.get(number)

    def count(self, status: str) -> int:
        """Returns how many are in a state."""
        return sum(executor.status == status for executor in self._executors.values())

    def idle(self, bundles: Bundles | None = None) -> Executor | None:
        """Returns an executor without work, of a shape where one is given."""
        for executor in self._executors.values():
            if executor.status == IDLE and (bundles is None or executor.bundles == bundles):
                return executor
        return None

    def missing(self, bundles: Bundles) -> dict[str, tuple[float, float]]:
        """Returns what a trial needs that all machines together do not have: name to (needed, there)."""
        return {
            name: (amount, self._total.get(name, 0.0))
            for name, amount in total_of(bundles).items()
            if amount > self._total.get(name, 0.0) + 1e-9
        }

    def has_room(self, bundles: Bundles) -> bool:
        """Whether one more executor of this shape fits beside those that there are."""
        if len(self._executors) >= self._limit:
            return False
        return all(
            self._used.get(name, 0.0) + amount <= self._total.get(name, 0.0) + 1e-9
            for name, amount in total_of(bundles).items()
        )

    def capacity(self, bundles: Bundles) -> int:
        """Returns how many trials of a shape run at a time."""
        fits = [
            int((self._total.get(name, 0.0) + 1e-9) / amount)
            for name, amount in total_of(bundles).items()
            if amount > 0
        ]
        return min([self._limit, *fits])

    def add(self, bundles: Bundles) -> Executor:
        """Makes a new executor, which starts."""
        executor = Executor(self._next, bundles)
        self._next += 1
        self._executors[executor.number] = executor
        for name, amount in total_of(bundles).items():
            self._used[name] = self._used.get(name, 0.0) + amount
        return executor

    def remove(self, executor: Executor) -> None:
        """It has gone, or is about to."""
        if self._executors.pop(executor.number, None) is not None:
            for name, amount in total_of(executor.bundles).items():
                self._used[name] -= amount


def total_of(bundles: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the sum of bundles."""
    total: dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            total[name] = total.get(name, 0.0) + amount
    return total
