"""Measures other libraries' parallel APIs on shoal, on Ray and on what they bring themselves, in one sitting.

See README.md beside this file.

python benchmarks/integrations.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-integrations.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import integrations_cases
from backend import Backend, BackendFailed
from integrations_rows import ROWS
from machine import load, machine
from report import Measurements, cells, heading, markdown_line
from rows import Row

CASES = Path(__file__).with_name("integrations_cases.py")
PATIENCE = 300.0
"""Seconds after which a case is given up."""


def main() -> int:
    options = parse_arguments()
    rows = [row for row in ROWS if not options.only or any(fnmatch(row.name, pattern) for pattern in options.only)]
    backends = [Backend(name, options.ray_python if name == "ray" else sys.executable) for name in options.backends]
    figures = Measurements(circumstances(options, backends), floor_backend="own")
    for round_ in range(1, options.rounds + 1):
        for row in rows:
            for backend in backends:
                if row.name in integrations_cases.CASES[backend.name]:
                    print(
                        f"round {round_} of {options.rounds}: {row.name} on {backend.name}", file=sys.stderr, flush=True
                    )
                    measure(backend, row, options.quick, figures)
    page = markdown(rows, options.backends, figures)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    if options.json:
        options.json.write_text(figures.as_json())
    return 1 if any("shoal" in failed for failed in figures.failures.values()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures parallel APIs on shoal, Ray and what they bring themselves.")
    parser.add_argument("--backends", help="comma-separated; default: shoal, own, and ray with --ray-python")
    parser.add_argument(
        "--ray-python", metavar="PATH", help="an interpreter that has ray, joblib, scikit-learn and dask"
    )
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows by name; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="times that everything is measured (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of a little of all: a glance, no measurement")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument(
        "--markdown", type=Path, metavar="PATH", help="write a page like docs/benchmarks-integrations.md here"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    default = ["shoal", *(["ray"] if options.ray_python else []), "own"]
    options.backends = options.backends.split(",") if options.backends else default
    if "ray" in options.backends and not options.ray_python:
        parser.error("--backends ray needs --ray-python PATH")
    return options


def circumstances(options: argparse.Namespace, backends: Sequence[Backend]) -> dict[str, str]:
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **{backend.name: backend.versions() for backend in backends},
        **{name: version(name) for name in ("joblib", "dask", "scikit-learn")},
        "settings": f"{integrations_cases.SLOTS} slots, rounds: {options.rounds}{', quick' if options.quick else ''}",
        "again": f"`{shlex.join(['python', 'benchmarks/integrations.py', *sys.argv[1:]])}`",
    }


def measure(backend: Backend, row: Row, quick: bool, figures: Measurements) -> None:
    """Runs one case in a process of its own."""
    request = json.dumps({"backend": backend.name, "case": row.name, "quick": quick})
    try:
        with backend.start(str(CASES), request) as process:
            answer = process.next_message(PATIENCE)
    except BackendFailed as error:
        answer = {"error": str(error)}
    if answer is None or "error" in answer:
        error_text = answer["error"] if answer else "it said nothing"
        print(f"  {row.name} on {backend.name} failed: {error_text}", file=sys.stderr, flush=True)
        figures.add_failure(backend.name, row.name, error_text)
        return
    figures.add(backend.name, {row.name: answer["figure"]})


def markdown(rows: Sequence[Row], backends: Sequence[str], figures: Measurements) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    lines = [
        "# Benchmarks of the integrations",
        "",
        *(f"- {name}: {value}" for name, value in figures.circumstances.items()),
        "",
    ]
    lines += [
        "Each figure is the median of the rounds, with the least and the most in parentheses, each of a process of its own;",
        "less is better.",
        "`own` is what the API itself brings: multiprocessing, ProcessPoolExecutor, loky, Dask's processes.",
        "What is done: [integrations_cases.py](../benchmarks/integrations_cases.py); what it is held against:",
        "[integrations_rows.py](../benchmarks/integrations_rows.py).",
        "",
        markdown_line(heading(backends)),
        markdown_line(["---"] * len(heading(backends))),
        *(markdown_line(cells(row, figures, backends, spread=True)) for row in rows),
        "",
        "## How each row is measured",
        "",
        *(f"- **{row.title}** (`{row.name}`): {row.how}" for row in rows),
    ]
    for name, errors in figures.failures.items():
        lines += [f"- failed: `{name}` on {backend}: {error.splitlines()[0]}" for backend, error in errors.items()]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
