"""Measures shoal's core, Ray and multiprocessing.Pool with the same work in one sitting. See README.md beside this file.

python benchmarks/core.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-core.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

import core_cases
import floors
import pool_cases
import report
import startup
from backend import Backend, BackendFailed
from machine import load, machine
from rows import Case, Row, Size

RUNNER = Path(__file__).with_name("run_cases.py")
START_LIMIT = 120  # seconds for a backend to start, and to end


def main() -> int:
    options = parse_arguments()
    rows = chosen_rows(options.only, with_million=options.million)
    floor_rows = chosen_floors(rows, options.only)
    if options.list:
        for row in [*rows, *floor_rows]:
            print(f"{row.name:<22}{row.title} [{row.unit}]: {row.how}")
        return 0

    size = Size(quick=options.quick, cpus=options.cpus)
    backends = [Backend(name, options.ray_python if name == "ray" else sys.executable) for name in options.backends]
    measurements = report.Measurements(circumstances(backends, size, options.rounds))
    # Backends take turns, so that a machine that slows down or warms up does so for all of them.
    for number in range(1, options.rounds + 1):
        for backend in [Backend("floors", sys.executable), *backends]:
            note(f"round {number} of {options.rounds}: {backend.name}")
            names = {row.name for row in (floor_rows if backend.name == "floors" else rows)}
            measure_startup(backend, names, size, measurements)
            measure_cases(backend, names, size, measurements)

    print(report.table(rows, floor_rows, measurements))
    if options.json:
        options.json.write_text(measurements.as_json())
    if options.markdown:
        options.markdown.write_text(report.markdown(rows, floor_rows, measurements))
    return 1 if measurements.failures else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures shoal's core beside Ray and multiprocessing.Pool.")
    parser.add_argument(
        "--backends", help="comma-separated: shoal, ray, pool (default: shoal,pool and, with --ray-python, ray)"
    )
    parser.add_argument("--ray-python", metavar="PATH", help="an interpreter that has ray and numpy")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="rows by name, e.g. 'tasks*'; may be repeated"
    )
    parser.add_argument(
        "--million", action="store_true", help="also the rows about 1,000,000 queued tasks (minutes, gigabytes)"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="times that everything is measured (default: 5, or 1 with --quick)"
    )
    parser.add_argument(
        "--cpus",
        type=int,
        default=max(2, len(os.sched_getaffinity(0))),
        metavar="N",
        help="workers (default: all cores)",
    )
    parser.add_argument("--quick", action="store_true", help="a glance, not a measurement")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure here")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write a page like docs/benchmarks-core.md here")
    parser.add_argument("--list", action="store_true", help="only say which rows there are and how they are measured")
    options = parser.parse_args()
    default = "shoal,ray,pool" if options.ray_python else "shoal,pool"
    options.backends = (options.backends or default).split(",")
    options.rounds = options.rounds or (1 if options.quick else 5)
    unknown = set(options.backends) - {"shoal", "ray", "pool"}
    if unknown:
        parser.error(f"--backends {','.join(sorted(unknown))}: there are shoal, ray and pool")
    if "ray" in options.backends and not options.ray_python:
        parser.error("--backends ray needs --ray-python PATH, an interpreter that has ray and numpy")
    return options


def chosen_rows(patterns: Sequence[str], with_million: bool) -> list[Row]:
    """The rows to measure: those asked for or, where none is, all but the ones that run on request."""

    def chosen(row: Row, on_request: bool) -> bool:
        if patterns:
            return any(fnmatch(row.name, pattern) for pattern in patterns)
        return with_million or not on_request

    rows = [row for row in startup.ROWS if chosen(row, False)]
    rows += [row for case in core_cases.CASES for row in case.rows if chosen(row, case.on_request)]
    if not rows and not any(fnmatch(case.name, pattern) for case in floors.CASES for pattern in patterns):
        sys.exit(f"no row matches {' or '.join(patterns)}; --list says which there are")
    return rows


def chosen_floors(rows: Iterable[Row], patterns: Sequence[str]) -> list[Row]:
    """Those that the rows refer to, and those asked for; all where nothing special is asked for."""
    needed = {row.floor for row in rows}
    every = [row for case in floors.CASES for row in case.rows]
    return [row for row in every if not patterns or row.name in needed or any(fnmatch(row.name, p) for p in patterns)]


def circumstances(backends: Iterable[Backend], size: Size, rounds: int) -> dict[str, str]:
    settings = f"{size.cpus} workers, rounds: {rounds}" + (
        ", --quick: a glance, not a measurement" if size.quick else ""
    )
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **{backend.name: backend.versions() for backend in backends},
        "settings": settings,
        "again": f"`{shlex.join(['python', 'benchmarks/core.py', *sys.argv[1:]])}`",
    }


def measure_startup(backend: Backend, names: set[str], size: Size, measurements: report.Measurements) -> None:
    wanted = [row.name for row in startup.ROWS if row.name in names]
    if not wanted or backend.name not in ("shoal", "ray"):
        return
    try:
        figures = startup.measure(backend, size)
    except BackendFailed as error:
        for name in wanted:
            measurements.add_failure(backend.name, name, str(error))
        return
    measurements.add(backend.name, {name: figures[name] for name in wanted})


def measure_cases(backend: Backend, names: set[str], size: Size, measurements: report.Measurements) -> None:
    """Runs the backend's cases for these rows; after one that hangs or kills its process, the rest go on in a new one."""
    cases = {"floors": floors.CASES, "pool": pool_cases.CASES}.get(backend.name, core_cases.CASES)
    wanted = [case for case in cases if any(row.name in names for row in case.rows)]
    sittings = [[case for case in wanted if not case.alone], *([case] for case in wanted if case.alone)]
    for sitting in sittings:
        left = sitting
        while left:
            left = run_cases(backend, left, size, measurements)


def run_cases(backend: Backend, cases: list[Case], size: Size, measurements: report.Measurements) -> list[Case]:
    """Runs cases in one process of the backend, and returns those that it did not come to."""
    request = {"backend": backend.name, "cases": [case.name for case in cases], **asdict(size)}
    left = list(cases)
    running: list[Case] = []
    try:
        with backend.start(str(RUNNER), json.dumps(request)) as process:
            while (message := process.next_message(running[0].limit if running else START_LIMIT)) is not None:
                if "started" in message:
                    running = [left.pop(0)]
                    note(f"  {running[0].name}")
                elif "measured" in message:
                    measurements.add(backend.name, message["measured"])
                else:
                    fail(backend, running, message["error"], measurements)
    except BackendFailed as error:
        # Where not even the first case was begun, a new process would fare no better.
        fail(backend, running or cases, str(error), measurements)
        return left if running else []
    return []


def fail(backend: Backend, cases: Iterable[Case], error: str, measurements: report.Measurements) -> None:
    for case in cases:
        note(f"  {case.name} failed: {error}")
        for row in case.rows:
            measurements.add_failure(backend.name, row.name, error)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
