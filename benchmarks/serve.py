"""Measures shoal's Serve beside bare FastAPI on uvicorn, Ray Serve and LitServe with the same work in one sitting. See README.md in this
folder. Needs the program wrk.

python benchmarks/serve.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-serve.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from backend import Backend
from machine import load, machine
from process_tree import kill_tree
from report import markdown_line, number
from serve_rows import ROWS, Row

PROGRAM = Path(__file__).with_name("serve_program.py")
PATIENCE = 180.0
"""Seconds after which a case is given up."""
BARE = {"noop", "fastapi", "bodies", "chunks", "first_chunk", "batched"}
CASES = {"uvicorn": BARE, "litserve": {"noop", "batched"}}
"""What the peers that are no Serve can do."""
THROUGHPUT = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}


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
    if shutil.which("wrk") is None:
        print("the program wrk is not installed, and nothing can be measured: apt-get install wrk", file=sys.stderr)
        return 2
    rows = [row for row in ROWS if not options.only or any(fnmatch(row.name, pattern) for pattern in options.only)]
    figures = Figures(circumstances(options))
    for round_ in range(1, options.rounds + 1):
        for case in dict.fromkeys(row.case for row in rows):
            for name in options.backends:
                if case not in CASES.get(name, {case}):
                    continue
                print(f"round {round_} of {options.rounds}: {case} on {name}", file=sys.stderr, flush=True)
                measure(name, options, case, figures)
    page = markdown(rows, options.backends, figures)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    if options.json:
        options.json.write_text(json.dumps({"figures": figures.values, "failures": figures.failures}, indent=2))
    return 1 if any("shoal" in failed for failed in figures.failures.values()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures shoal's Serve beside uvicorn, Ray Serve and LitServe.")
    parser.add_argument("--backends", help="comma-separated; default: shoal, uvicorn, and those with an interpreter")
    parser.add_argument(
        "--ray-python", metavar="PATH", help="an interpreter that has ray[serve]: ray, and ray-fast for throughput"
    )
    parser.add_argument("--litserve-python", metavar="PATH", help="an interpreter that has litserve")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows by name; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="times that everything is measured (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of a little of all: a glance, no measurement")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write a page like docs/benchmarks-serve.md here")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    default = ["shoal", "uvicorn"]
    default += ["ray", "ray-fast"] if options.ray_python else []
    default += ["litserve"] if options.litserve_python else []
    options.backends = options.backends.split(",") if options.backends else default
    for name, python in (("ray", options.ray_python), ("litserve", options.litserve_python)):
        if name in options.backends and not python:
            parser.error(f"--backends {name} needs --{name}-python PATH")
    return options


def backend_of(name: str, options: argparse.Namespace) -> Backend:
    kind = "ray" if name == "ray-fast" else name
    return Backend(kind, {"ray": options.ray_python, "litserve": options.litserve_python}.get(kind) or sys.executable)


def circumstances(options: argparse.Namespace) -> dict[str, str]:
    from importlib.metadata import version

    known = [name for name in options.backends if name in ("shoal", "ray")]
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **{name: backend_of(name, options).versions() for name in known},
        "uvicorn": f"{version('uvicorn')}, FastAPI {version('fastapi')}, one process",
        "settings": f"rounds: {options.rounds}{', quick' if options.quick else ''}; the client, wrk, shares the cores",
        "again": f"`{shlex.join(['python', 'benchmarks/serve.py', *sys.argv[1:]])}`",
    }


def measure(name: str, options: argparse.Namespace, case: str, figures: Figures) -> None:
    """Runs a case from start to end, and takes what it wrote."""
    backend = backend_of(name, options)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(PROGRAM), backend.name, case, folder, json.dumps({"seconds": 1 if options.quick else 2})]
        environment = backend.environment() | (THROUGHPUT if name == "ray-fast" else {})
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                [backend.python, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=errors
            ) as process,
        ):
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                fail(figures, name, case, f"it took longer than {PATIENCE:.0f} s")
                return
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        if status != 0:
            told = [line.strip() for line in lines if "Error" in line] or [f"exit status {status}"]
            fail(figures, name, case, told[-1][:300])
            return
        for path in Path(folder).glob("*.json"):
            figures.add(path.stem, name, json.loads(path.read_text()))


def fail(figures: Figures, name: str, case: str, error: str) -> None:
    print(f"  {case} on {name} failed: {error}", file=sys.stderr, flush=True)
    for row in ROWS:
        if row.case == case:
            figures.failures.setdefault(row.name, {})[name] = error


def markdown(rows: Sequence[Row], backends: Sequence[str], figures: Figures) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    peers = [name for name in ("ray", "uvicorn") if name in backends]
    heading = ["", "unit", *backends, *(f"shoal : {name}" for name in peers), "goal", "met"]
    lines = ["# Benchmarks of Serve", "", *(f"- {name}: {value}" for name, value in figures.circumstances.items()), ""]
    lines += [
        "Each figure is the median of the rounds. How each is measured: [serve_program.py](../benchmarks/serve_program.py);",
        "what it is held against: [serve_rows.py](../benchmarks/serve_rows.py). `ray-fast` is Ray Serve set for throughput.",
        "[Notes](benchmarks-serve-notes.md) tell what a request costs where, and what bounds the rows.",
        "",
    ]
    lines += [markdown_line(heading), markdown_line(["---"] * len(heading))]
    for row in rows:
        found, failures = figures.of(row), figures.failures.get(row.name, {})
        medians = {name: statistics.median(values) for name, values in found.items() if values}
        cells = [
            number(medians[name]) if name in medians else "failed" if name in failures else "" for name in backends
        ]
        ratios = [_ratio(row, medians.get("shoal"), medians.get(name)) for name in peers]
        goal = row.goal(found)
        bound = "" if goal is None else f"{'≤' if row.lower_is_better else '≥'} {number(goal)}"
        met = {True: "yes", False: "no", None: ""}[row.is_met(found)]
        lines.append(markdown_line([row.title, row.unit, *cells, *ratios, bound, met]))
    lines.append("")
    for name, errors in figures.failures.items():
        lines += [f"- failed: `{name}` on {backend}: {error}" for backend, error in errors.items()]
    return "\n".join(lines).rstrip() + "\n"


def _ratio(row: Row, ours: float | None, theirs: float | None) -> str:
    """How many times as good shoal is."""
    if not ours or not theirs:
        return ""
    return f"{number(theirs / ours if row.lower_is_better else ours / theirs)} ×"


if __name__ == "__main__":
    sys.exit(main())
