"""What has been measured, as a table for the terminal, a page of Markdown and a JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rows import Row

COMPARED = ("shoal", "ray", "pool")


@dataclass
class Measurements:
    """Figures by row and backend, one a round; what failed; and under which circumstances.

    Args:
        circumstances: date, machine, versions and so on, in the order in which they are shown.
        floor_backend: the backend whose figures are the floors.
    """

    circumstances: dict[str, str]
    floor_backend: str = "floors"
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, backend: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.figures.setdefault(name, {}).setdefault(backend, []).append(value)

    def add_failure(self, backend: str, name: str, error: str) -> None:
        self.failures.setdefault(name, {})[backend] = error

    def median(self, row: str, backend: str) -> float | None:
        values = self.figures.get(row, {}).get(backend)
        return statistics.median(values) if values else None

    def floor(self, row: Row) -> float | None:
        return self.median(row.floor, self.floor_backend) if row.floor else None

    def ratio(self, row: Row) -> float | None:
        """How many times as good shoal is as Ray."""
        ours, theirs = self.median(row.name, "shoal"), self.median(row.name, "ray")
        if ours is None or theirs is None:
            return None
        better, worse = (theirs, ours) if row.lower_is_better else (ours, theirs)
        return better / worse if worse else None

    def goal(self, row: Row) -> float | None:
        """The bound in the row's unit, or None where there is none (or its floor was not measured)."""
        if row.goal is None:
            return None
        if not row.goal.of_floor:
            return row.goal.limit
        floor = self.floor(row)
        return None if floor is None else row.goal.limit * floor

    def goal_met(self, row: Row) -> bool | None:
        goal, ours = self.goal(row), self.median(row.name, "shoal")
        if goal is None or ours is None:
            return None
        return ours <= goal if row.lower_is_better else ours >= goal

    def as_json(self) -> str:
        content: dict[str, Any] = {
            "circumstances": self.circumstances,
            "figures": self.figures,
            "failures": self.failures,
        }
        return json.dumps(content, indent=2) + "\n"


def number(value: float | None) -> str:
    """Three digits that matter, thousands apart."""
    if value is None:
        return ""
    if value >= 100:
        digits = 0
    elif value >= 10:
        digits = 1
    else:
        digits = 2 if value >= 1 or value == 0 else 3
    return f"{value:,.{digits}f}"


def heading(backends: Iterable[str]) -> list[str]:
    return ["", "unit", *backends, "shoal : ray", "floor", "goal", "met"]


def cells(row: Row, measurements: Measurements, backends: Iterable[str], spread: bool = False) -> list[str]:
    """One line: the title, then a cell for each column of `heading`; with `spread`, least and most behind each median."""
    ratio, goal, met = measurements.ratio(row), measurements.goal(row), measurements.goal_met(row)
    return [
        row.title,
        row.unit,
        *(figure(row, measurements, backend, spread) for backend in backends),
        "" if ratio is None else f"{number(ratio)} ×",
        number(measurements.floor(row)),
        "" if goal is None else ("≤ " if row.lower_is_better else "≥ ") + number(goal),
        {True: "yes", False: "no", None: ""}[met],
    ]


def figure(row: Row, measurements: Measurements, backend: str, spread: bool) -> str:
    if backend in measurements.failures.get(row.name, {}):
        return "failed"
    text = number(measurements.median(row.name, backend))
    values = measurements.figures.get(row.name, {}).get(backend, [])
    if spread and len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    return text


def table(rows: Iterable[Row], floor_rows: Iterable[Row], measurements: Measurements) -> str:
    """For the terminal."""
    backends = present(measurements)
    lines = [heading(backends), *(cells(row, measurements, backends) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    floors = [
        f"{row.title.ljust(44)}{number(measurements.median(row.name, 'floors')).rjust(12)} {row.unit}"
        for row in floor_rows
    ]
    if floors:
        text += ["", "floors of this machine", *floors]
    for name, errors in measurements.failures.items():
        text += [f"failed: {name} on {backend}: {error}" for backend, error in errors.items()]
    return "\n".join(line.rstrip() for line in text)


def markdown(rows: Iterable[Row], floor_rows: Iterable[Row], measurements: Measurements) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    rows, floor_rows = list(rows), list(floor_rows)
    backends = present(measurements)
    lines = ["# Benchmarks of the core", ""]
    lines += [f"- {name}: {value}" for name, value in measurements.circumstances.items()]
    lines += [
        "",
        "Each figure is the median of the rounds, with the least and the most in parentheses. Goals and floors are explained in",
        "[benchmarks/README.md](../benchmarks/README.md).",
        "",
    ]
    lines += [markdown_line(heading(backends)), markdown_line(["---"] * len(heading(backends)))]
    lines += [markdown_line(cells(row, measurements, backends, spread=True)) for row in rows]
    if floor_rows:
        lines += [
            "",
            "## Floors of this machine",
            "",
            markdown_line(["", "figure", "unit"]),
            markdown_line(["---"] * 3),
        ]
        lines += [
            markdown_line([row.title, figure(row, measurements, "floors", spread=True), row.unit]) for row in floor_rows
        ]
    lines += ["", "## How each row is measured", ""]
    lines += [f"- **{row.title}** (`{row.name}`): {row.how}" for row in [*rows, *floor_rows]]
    for name, errors in measurements.failures.items():
        lines += [f"- failed: `{name}` on {backend}: {error}" for backend, error in errors.items()]
    return "\n".join(lines) + "\n"


def markdown_line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def present(measurements: Measurements) -> list[str]:
    """The compared backends of which anything is known, in their usual order."""
    known: set[str] = set()
    for figures in measurements.figures.values():
        known |= figures.keys()
    for errors in measurements.failures.values():
        known |= errors.keys()
    return [name for name in COMPARED if name in known]
