"""Measures shoal's Train beside torchrun and Ray Train with the same work in one sitting. See README.md beside this file.

python benchmarks/train.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-train.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

from backend import Backend
from machine import load, machine
from process_tree import kill_tree
from report import markdown_line, number
from train_program import LOOPS, WORKERS
from train_rows import ROWS, Row

PROGRAM = Path(__file__).with_name("train_program.py")
PATIENCE = 240.0
"""Seconds after which a program is given up."""
FULL = {"reports": 2000, "steps": 300, "blocks": 6, "mebibytes": 64}
RAY = {"reports": 10}
"""Its reports wait for its controller: about two seconds each."""
QUICK = {"reports": 50, "steps": 30, "blocks": 1, "mebibytes": 8}


@dataclass
class Figures:
    """By row and backend, one a round; and what failed."""

    circumstances: dict[str, str]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, row: str, backend: str, values: Sequence[float]) -> None:
        self.values.setdefault(row, {}).setdefault(backend, []).extend(values)

    def of(self, row: Row) -> Mapping[str, Sequence[float]]:
        return self.values.get(row.name, {})


def main() -> int:
    options = parse_arguments()
    rows = [row for row in ROWS if not options.only or any(fnmatch(row.name, pattern) for pattern in options.only)]
    backends = [Backend(name, options.ray_python if name == "ray" else sys.executable) for name in options.backends]
    figures = Figures(circumstances(options, backends))
    for round_ in range(1, options.rounds + 1):
        for program in dict.fromkeys(row.program for row in rows):
            for backend in backends:
                if backend.name == "torchrun" and program not in LOOPS:
                    continue
                print(f"round {round_} of {options.rounds}: {program} on {backend.name}", file=sys.stderr, flush=True)
                sizes = (QUICK if options.quick else FULL) | (RAY if backend.name == "ray" else {})
                measure(backend, program, sizes, figures)
    page = markdown(rows, options.backends, figures)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    if options.json:
        options.json.write_text(json.dumps({"figures": figures.values, "failures": figures.failures}, indent=2))
    return 1 if any("shoal" in failed for failed in figures.failures.values()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures shoal's Train beside torchrun and Ray Train.")
    parser.add_argument("--backends", help="comma-separated; default: shoal, torchrun, and ray with --ray-python")
    parser.add_argument("--ray-python", metavar="PATH", help="an interpreter that has ray[train] and torch")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows by name; may be repeated")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="times that everything is measured, in turns (default: 10)"
    )
    parser.add_argument("--quick", action="store_true", help="one round of a little of all: a glance, no measurement")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write a page like docs/benchmarks-train.md here")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 10)
    default = ["shoal", "torchrun", *(["ray"] if options.ray_python else [])]
    options.backends = options.backends.split(",") if options.backends else default
    if "ray" in options.backends and not options.ray_python:
        parser.error("--backends ray needs --ray-python PATH")
    return options


def circumstances(options: argparse.Namespace, backends: Sequence[Backend]) -> dict[str, str]:
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **{backend.name: backend.versions() for backend in backends if backend.name != "torchrun"},
        "torch": version("torch"),
        "settings": f"{WORKERS} workers, gloo, rounds: {options.rounds}{', quick' if options.quick else ''}",
        "again": f"`{shlex.join(['python', 'benchmarks/train.py', *sys.argv[1:]])}`",
    }


def measure(backend: Backend, program: str, sizes: Mapping[str, int], figures: Figures) -> None:
    """Runs a program from start to end, and takes what it wrote."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={WORKERS}"] if backend.name == "torchrun" else []
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(PROGRAM), backend.name, program, folder, json.dumps(sizes)]
        environment = backend.environment() | {"OMP_NUM_THREADS": "1"}
        started = time.perf_counter()
        with subprocess.Popen(
            [backend.python, *launcher, *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                _, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                fail(figures, backend, program, f"it took longer than {PATIENCE:.0f} s")
                return
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            lines = errors.decode(errors="replace").splitlines()
            # torchrun draws a box around what happened, and tells the time after it.
            told = [line.strip() for line in lines if "Error" in line] or [f"exit status {process.returncode}"]
            fail(figures, backend, program, told[-1][:300])
            return
        if program == "once":
            figures.add("whole", backend.name, [seconds])
            if backend.name == "torchrun":
                figures.add("cold", backend.name, [seconds])
        for path in Path(folder).glob("*.json"):
            figures.add(path.stem, backend.name, json.loads(path.read_text()))


def fail(figures: Figures, backend: Backend, program: str, error: str) -> None:
    print(f"  {program} on {backend.name} failed: {error}", file=sys.stderr, flush=True)
    for row in ROWS:
        if row.program == program:
            figures.failures.setdefault(row.name, {})[backend.name] = error


def markdown(rows: Sequence[Row], backends: Sequence[str], figures: Figures) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    heading = ["", "unit", *backends, "ray : shoal", "goal", "met"]
    lines = ["# Benchmarks of Train", "", *(f"- {name}: {value}" for name, value in figures.circumstances.items()), ""]
    lines += [
        "Each figure is the median of the rounds, with the least and the most in parentheses; less is better. How each is measured:",
        "[train_program.py](../benchmarks/train_program.py); what it is held against: [train_rows.py](../benchmarks/train_rows.py).",
        "",
    ]
    lines += [markdown_line(heading), markdown_line(["---"] * len(heading))]
    for row in rows:
        found, failures = figures.of(row), figures.failures.get(row.name, {})
        # One round that failed is told below.
        cells = [figure(found[name]) if found.get(name) else "failed" if name in failures else "" for name in backends]
        ratio = ""
        if found.get("shoal") and found.get("ray") and row.unit != "% longer":
            ratio = f"{number(statistics.median(found['ray']) / statistics.median(found['shoal']))} ×"
        goal = row.goal(found)
        bound = f"as {row.same_as}" if row.same_as else "" if goal is None else f"≤ {number(goal)}"
        met = {True: "yes", False: "no", None: ""}[row.is_met(found)]
        lines.append(markdown_line([row.title, row.unit, *cells, ratio, bound, met]))
    lines.append("")
    for name, errors in figures.failures.items():
        lines += [f"- failed: `{name}` on {backend}: {error}" for backend, error in errors.items()]
    return "\n".join(lines).rstrip() + "\n"


def figure(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ({number(min(values))} to {number(max(values))})" if len(values) > 1 else ""
    return number(statistics.median(values)) + spread


if __name__ == "__main__":
    sys.exit(main())
