"""One sitting: each row's case is run on each backend that can, in turns and in a process of its own, and the figures become a page.

A program of cases is started with a request, `{"backend": ..., "case": ..., "quick": ...}`, and a file descriptor; it writes
`{"figure": ...}` or `{"error": ...}` there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from backend import Backend, BackendFailed
from machine import load, machine
from report import Measurements, cells, heading, markdown_line
from rows import Row


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """What is measured, on what, and what the page says of it.

    Args:
        title: of the page.
        description: of the program, for `--help`.
        program: its path in the repository.
        page: where its page is kept.
        rows: what is measured; a row's name is that of its case.
        cases: the program of cases.
        able: by backend, which cases it can run.
        peers: backends that need an interpreter of their own, and what that must have.
        others: further backends, besides shoal.
        settings: what all cases have in common.
        remarks: lines above the table, after how its figures are to be read.
        patience: seconds after which a case is given up.
        versions: tells a backend's.
        libraries: further versions, by name.
        floor_backend: whose figures are the floors.
    """

    title: str
    description: str
    program: str
    page: str
    rows: Sequence[Row]
    cases: Path
    able: Mapping[str, Collection[str]]
    peers: Mapping[str, str]
    others: Sequence[str]
    settings: str
    remarks: Sequence[str]
    patience: float = 300.0
    versions: Callable[[Backend], str] = Backend.versions
    libraries: Mapping[str, str] = field(default_factory=dict)
    floor_backend: str = "floors"


def main(sitting: Sitting) -> int:
    """Returns the program's exit status: 1 where something failed on shoal."""
    options = parse_arguments(sitting)
    rows = [
        row for row in sitting.rows if not options.only or any(fnmatch(row.name, pattern) for pattern in options.only)
    ]
    backends = [Backend(name, getattr(options, f"{name}_python", None) or sys.executable) for name in options.backends]
    figures = Measurements(circumstances(sitting, options, backends), floor_backend=sitting.floor_backend)
    for round_ in range(1, options.rounds + 1):
        for row in rows:
            for backend in backends:
                if row.name in sitting.able[backend.name]:
                    print(
                        f"round {round_} of {options.rounds}: {row.name} on {backend.name}", file=sys.stderr, flush=True
                    )
                    measure(sitting, backend, row, options.quick, figures)
    page = markdown(sitting, rows, options.backends, figures)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    if options.json:
        options.json.write_text(figures.as_json())
    return 1 if any("shoal" in failed for failed in figures.failures.values()) else 0


def parse_arguments(sitting: Sitting) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=sitting.description)
    parser.add_argument(
        "--backends",
        help=f"comma-separated; default: {', '.join(['shoal', *sitting.others])}, and those with an interpreter",
    )
    for name, needs in sitting.peers.items():
        parser.add_argument(f"--{name}-python", metavar="PATH", help=f"an interpreter that has {needs}")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows by name; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="times that everything is measured (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of a little of all: a glance, no measurement")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help=f"write a page like {sitting.page} here")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    there = [name for name in sitting.peers if getattr(options, f"{name}_python")]
    options.backends = options.backends.split(",") if options.backends else ["shoal", *there, *sitting.others]
    if "ray" in options.backends and not options.ray_python:
        parser.error("--backends ray needs --ray-python PATH")
    return options


def circumstances(sitting: Sitting, options: argparse.Namespace, backends: Sequence[Backend]) -> dict[str, str]:
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load when started": load(),
        **{backend.name: sitting.versions(backend) for backend in backends},
        **sitting.libraries,
        "settings": f"{sitting.settings}, rounds: {options.rounds}{', quick' if options.quick else ''}",
        "again": f"`{shlex.join(['python', sitting.program, *sys.argv[1:]])}`",
    }


def measure(sitting: Sitting, backend: Backend, row: Row, quick: bool, figures: Measurements) -> None:
    """Runs one case in a process of its own."""
    request = json.dumps({"backend": backend.name, "case": row.name, "quick": quick})
    try:
        with backend.start(str(sitting.cases), request) as process:
            answer = process.next_message(sitting.patience)
    except BackendFailed as error:
        answer = {"error": str(error)}
    if answer is None or "error" in answer:
        error_text = answer["error"] if answer else "it said nothing"
        print(f"  {row.name} on {backend.name} failed: {error_text}", file=sys.stderr, flush=True)
        figures.add_failure(backend.name, row.name, error_text)
        return
    figures.add(backend.name, {row.name: answer["figure"]})


def markdown(sitting: Sitting, rows: Sequence[Row], backends: Sequence[str], figures: Measurements) -> str:
    """A page that says what was measured, where, how and how to do it again."""
    lines = [
        f"# {sitting.title}",
        "",
        *(f"- {name}: {value}" for name, value in figures.circumstances.items()),
        "",
        "Each figure is the median of the rounds, with the least and the most in parentheses, each of a process of its own.",
        *sitting.remarks,
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
