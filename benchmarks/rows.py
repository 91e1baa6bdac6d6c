"""What a row of the table is: its name, how its figure is read, and the goal it is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A bound for a figure: `limit` in the row's unit or, where `of_floor` is set, as a share of the row's floor."""

    limit: float
    of_floor: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: stable key, for `--only` and the JSON file.
        title: what is measured, in a few words.
        unit: unit of the figure.
        how: how it is measured, in a sentence.
        goal: what shoal should reach, if there is a goal.
        floor: name of the floor row that bounds it from outside, if one does.
        lower_is_better: for times and memory.
    """

    name: str
    title: str
    unit: str
    how: str
    goal: Goal | None = None
    floor: str | None = None
    lower_is_better: bool = False


@dataclass(frozen=True)
class Size:
    """How much a case does.

    Args:
        quick: a glance instead of a measurement.
        cpus: number of workers.
    """

    quick: bool
    cpus: int

    @property
    def seconds(self) -> float:
        """How long a rate is measured for, in seconds, after a warm-up of half as long."""
        return 0.2 if self.quick else 1.0

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


Figures = float | Sequence[float]


@dataclass(frozen=True)
class Case:
    """A function that measures the figures of one or more rows.

    Args:
        rows: the rows, in the order of the figures that `run` returns.
        run: called with the backend (the module `shoal` or `ray`, a process pool, or None) and a `Size`.
        limit: seconds after which it is given up.
        alone: gets a session of its own, so that what it leaves behind disturbs nobody.
        on_request: is run only where its row is asked for by name.
    """

    rows: tuple[Row, ...]
    run: Callable[[Any, Size], Figures]
    limit: float
    alone: bool
    on_request: bool

    @property
    def name(self) -> str:
        return self.rows[0].name


class Cases:
    """The cases of one module, in the order of their definition."""

    def __init__(self) -> None:
        self._cases: list[Case] = []

    def measures(
        self, *rows: Row, limit: float = 60, alone: bool = False, on_request: bool = False
    ) -> Callable[[Callable[[Any, Size], Figures]], Callable[[Any, Size], Figures]]:
        """Decorator: the function measures these rows."""

        def register(run: Callable[[Any, Size], Figures]) -> Callable[[Any, Size], Figures]:
            self._cases.append(Case(rows, run, limit, alone, on_request))
            return run

        return register

    def __iter__(self) -> Any:
        return iter(self._cases)

    def named(self, name: str) -> Case:
        return next(case for case in self._cases if case.name == name)
