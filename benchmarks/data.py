"""Measures shoal's Data, Ray Data and the best of one process with the same work in one sitting. See README.md beside this file.

python benchmarks/data.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-data.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import math
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import data_cases
import data_peer_cases
from backend import Backend, BackendFailed
from data_rows import ROWS, Row
from machine import load, machine
from report import markdown_line, number

RUNNER = Path(__file__).with_name("data_runner.py")
PEERS = ("pandas", "polars", "duckdb", "daft", "pyarrow")
MODULES = {"ray": "ray", **{name: name for name in PEERS}}
START_LIMIT = 180
SAME = 1e-9


@dataclass
class Figures:
    """Seconds by row and backend, one a round; answers; and what failed."""

    circumstances: dict[str, str]
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    answers: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def median(self, row: str, backend: str) -> float | None:
        found = self.seconds.get(row, {}).get(backend)
        return statistics.median(found) if found else None

    def goal(self, row: Row) -> float | None:
        """Seconds that shoal may take, by the peers that were measured."""
        bounds = [factor * found for peer, factor in row.goals.items() if (found := self.median(row.name, peer))]
        bounds += [row.limit] if row.limit is not None else []
        return min(bounds, default=None)

    def met(self, row: Row) -> str:
        goal, ours = self.goal(row), self.median(row.name, "shoal")
        return "" if goal is None or ours is None else "yes" if ours <= goal else "no"


def main() -> int:
    options = parse_arguments()
    rows = [row for row in ROWS if not options.only or any(fnmatch(row.name, pattern) for pattern in options.only)]
    backends = [Backend(name, options.ray_python if name == "ray" else sys.executable) for name in options.backends]
    figures = Figures(circumstances(options, backends))
    with tempfile.TemporaryDirectory() as scratch:
        request = {"folder": str(options.folder or scratch), "rows": options.rows, "cpus": options.cpus}
        for number_ in range(1, options.rounds + 1):
            for backend in backends:
                print(f"round {number_} of {options.rounds}: {backend.name}", file=sys.stderr, flush=True)
                measure(backend, rows, request, figures)
    check_answers(figures)
    page = markdown(rows, options.backends, figures)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    if options.json:
        options.json.write_text(json.dumps({"seconds": figures.seconds, "failures": figures.failures}, indent=2))
    return 1 if any("shoal" in failed for failed in figures.failures.values()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measures shoal's Data beside Ray Data, pandas, polars, DuckDB and Daft."
    )
    parser.add_argument(
        "--backends", help="comma-separated; default: shoal, ray with --ray-python, and all peers that are there"
    )
    parser.add_argument(
        "--ray-python", metavar="PATH", help="an interpreter that has ray, pyarrow, pandas, torch and numpy"
    )
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows by name; may be repeated")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="times that everything is measured (default: 3)"
    )
    parser.add_argument("--rows", type=int, default=4_000_000, metavar="N", help="rows of the large file")
    parser.add_argument("--cpus", type=int, default=max(2, len(os.sched_getaffinity(0))), metavar="N")
    parser.add_argument("--folder", type=Path, metavar="PATH", help="where the files are kept (default: made anew)")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write a page like docs/benchmarks-data.md here")
    options = parser.parse_args()
    there = [name for name in PEERS if importlib.util.find_spec(name)]
    default = ["shoal", *(["ray"] if options.ray_python else []), *there]
    options.backends = options.backends.split(",") if options.backends else default
    if "ray" in options.backends and not options.ray_python:
        parser.error("--backends ray needs --ray-python PATH")
    return options


def circumstances(options: argparse.Namespace, backends: Sequence[Backend]) -> dict[str, str]:
    versions = {backend.name: backend.versions() for backend in backends if backend.name in ("shoal", "ray")}
    for backend in backends:
        if backend.name in PEERS:
            from importlib.metadata import version

            versions[backend.name] = version(backend.name)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **versions,
        "settings": f"{options.cpus} processors, {options.rows:,} rows, rounds: {options.rounds}",
        "again": f"`{shlex.join(['python', 'benchmarks/data.py', *sys.argv[1:]])}`",
    }


def measure(backend: Backend, rows: Sequence[Row], request: dict[str, object], figures: Figures) -> None:
    """Runs a backend's cases; after one that hangs or kills its process, the rest go on in a new one."""
    known = data_peer_cases.CASES.get(backend.name, data_cases.CASES)
    left = [row for row in rows if row.name in known and backend.name not in figures.failures.get(row.name, {})]
    while left:
        running: Row | None = None
        try:
            names = [row.name for row in left]
            with backend.start(
                str(RUNNER), json.dumps({**request, "backend": backend.name, "cases": names})
            ) as process:
                while (message := process.next_message(running.patience if running else START_LIMIT)) is not None:
                    if "started" in message:
                        running = left.pop(0)
                    elif "measured" in message:
                        name = message["measured"]
                        figures.seconds.setdefault(name, {}).setdefault(backend.name, []).append(message["seconds"])
                        figures.answers.setdefault(name, {})[backend.name] = message["answer"]
                    else:
                        fail(figures, backend, message["failed"], message["error"])
            return
        except BackendFailed as error:
            if running is None:
                for row in left:
                    fail(figures, backend, row.name, str(error))
                return
            fail(figures, backend, running.name, str(error))


def fail(figures: Figures, backend: Backend, row: str, error: str) -> None:
    print(f"  {row} on {backend.name} failed: {error}", file=sys.stderr, flush=True)
    figures.failures.setdefault(row, {})[backend.name] = error


def check_answers(figures: Figures) -> None:
    """All backends must have computed the same; the first one's answer counts."""
    for row, answers in figures.answers.items():
        first = next(iter(answers.values()))
        for name, answer in answers.items():
            if not math.isclose(answer, first, rel_tol=SAME):
                figures.failures.setdefault(row, {})[name] = f"it found {answer}, others {first}"


def markdown(rows: Sequence[Row], backends: Sequence[str], figures: Figures) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    heading = ["", *backends, "ray : shoal", "goal", "met"]
    lines = ["# Benchmarks of Data", "", *(f"- {name}: {value}" for name, value in figures.circumstances.items()), ""]
    lines += [
        "All figures are seconds, medians of the rounds. A goal is a bound for shoal by the peers beside it: a tenth of Ray's time,"
    ]
    lines += [
        "twice polars' and DuckDB's, three times pandas', or a time of its own ([benchmarks/data_rows.py](../benchmarks/data_rows.py)).",
        "[Notes](benchmarks-data-notes.md) tell what bounds the rows that miss theirs.",
        "",
    ]
    lines += [markdown_line(heading), markdown_line(["---"] * len(heading))]
    for row in rows:
        cells = [
            "failed" if name in figures.failures.get(row.name, {}) else time(figures.median(row.name, name))
            for name in backends
        ]
        ours, rays = figures.median(row.name, "shoal"), figures.median(row.name, "ray")
        ratio = f"{number(rays / ours)} ×" if ours and rays else ""
        goal = figures.goal(row)
        lines.append(markdown_line([row.title, *cells, ratio, f"≤ {time(goal)}" if goal else "", figures.met(row)]))
    lines.append("")
    for name, errors in figures.failures.items():
        lines += [f"- failed: `{name}` on {backend}: {error.splitlines()[0]}" for backend, error in errors.items()]
    return "\n".join(lines).rstrip() + "\n"


def time(seconds: float | None) -> str:
    """Seconds, three digits that matter."""
    return (
        ""
        if seconds is None
        else f"{seconds:.4f}"
        if seconds < 0.01
        else f"{seconds:.3f}"
        if seconds < 10
        else f"{seconds:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
