"""Measures what an engine adapter adds to each call: the same work through shoal and with the engine's own API, in turns on one cluster.

    /path/to/venv-with-ray/bin/python benchmarks/engines.py --engine ray --markdown docs/benchmarks-engine-ray.md

Needs an interpreter that has shoal-integrations and the engine. Each row is measured in many short turns, shoal's and the engine's own one
after the other, so that what else the machine does falls on both; the figure is the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from machine import load, machine

CPUS = 2
BATCH = 200
FEWEST_TURNS = 5
GOAL = 1.10


def same(value: Any) -> Any:
    return value


class Counter:
    def __init__(self) -> None:
        self.sum = 0

    def add(self, number: int) -> int:
        self.sum += number
        return self.sum


class Way(Protocol):
    """One way to do the work: through shoal, or with an engine's own API."""

    def call(self, value: Any) -> Any:
        """Submits a task that returns `value`, and returns its reference."""

    def call_actor(self) -> Any: ...

    def put(self, value: Any) -> Any: ...

    def get(self, refs: list[Any]) -> list[Any]: ...

    def end(self) -> None: ...


class Shoal:
    """Through shoal, on the engine of the session."""

    def __init__(self) -> None:
        import shoal

        self.put: Any = shoal.put
        self.get: Any = shoal.get
        self._task: Any = shoal.remote(same)
        self._actor: Any = shoal.remote(Counter).remote()
        self._end = shoal.shutdown

    def call(self, value: Any) -> Any:
        return self._task.remote(value)

    def call_actor(self) -> Any:
        return self._actor.add.remote(1)

    def end(self) -> None:
        del self._actor
        self._end()


class Ray:
    """With Ray's API."""

    def __init__(self) -> None:
        self._ray: Any = importlib.import_module("ray")
        self._ray.init("local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False)
        self.put: Any = self._ray.put
        self.get: Any = self._ray.get
        self._task: Any = self._ray.remote(same)
        self._actor: Any = self._ray.remote(Counter).remote()

    def call(self, value: Any) -> Any:
        return self._task.remote(value)

    def call_actor(self) -> Any:
        return self._actor.add.remote(1)

    def end(self) -> None:
        del self._actor
        self._ray.shutdown()


class Dask:
    """With Dask's API. (Its actors answer their callers alone; shoal's answers are objects that can be passed on.)"""

    def __init__(self) -> None:
        distributed: Any = importlib.import_module("distributed")
        self._cluster: Any = distributed.LocalCluster(
            n_workers=CPUS, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self._client: Any = distributed.Client(self._cluster)
        self._actor: Any = self._client.submit(Counter, actor=True).result()

    def call(self, value: Any) -> Any:
        return self._client.submit(same, value, pure=False)

    def call_actor(self) -> Any:
        return self._actor.add(1)

    def put(self, value: Any) -> Any:
        return self._client.scatter(value, hash=False)

    def get(self, refs: list[Any]) -> list[Any]:
        if hasattr(refs[0], "key"):
            return list(self._client.gather(refs))
        return [ref.result() for ref in refs]

    def end(self) -> None:
        self._client.close()
        self._cluster.close()


ENGINES: dict[str, tuple[Callable[[], Way], str]] = {"dask": (Dask, "dask://"), "ray": (Ray, "ray")}
"""Engine -> its own way, which begins the cluster, and the address by which shoal joins it."""


@dataclass(frozen=True)
class Row:
    """One kind of work.

    Args:
        name: of the row.
        work: does it once.
        calls: how many calls that is.
    """

    name: str
    work: Callable[[Way], Any]
    calls: int


ROWS = (
    Row("a task, one at a time", lambda way: [way.get([way.call(1)]) for _ in range(BATCH // 4)], BATCH // 4),
    Row("tasks, many at a time", lambda way: way.get([way.call(1) for _ in range(BATCH)]), BATCH),
    Row("tasks with an argument of 10 kB", lambda way: way.get([way.call(b"x" * 10_000) for _ in range(BATCH)]), BATCH),
    Row("tasks on results of tasks", lambda way: way.get([way.call(way.call(1)) for _ in range(BATCH // 2)]), BATCH),
    Row("actor calls, one at a time", lambda way: [way.get([way.call_actor()]) for _ in range(BATCH // 2)], BATCH // 2),
    Row("actor calls, many at a time", lambda way: way.get([way.call_actor() for _ in range(BATCH)]), BATCH),
    Row("put and get", lambda way: [way.get([way.put(b"x")]) for _ in range(BATCH)], BATCH),
)


@dataclass(frozen=True)
class Figure:
    """What came out for one row: medians, in microseconds a call, and the ratio of neighbouring turns."""

    row: Row
    shoal: float
    own: float
    ratio: float


def measure(row: Row, through_shoal: Way, own: Way, turns: int, seconds: float) -> Figure:
    """Does the work in turns, the first of which is not counted: at most `turns`, and fewer where they take more than `seconds`."""
    pairs: list[tuple[float, float]] = []
    taken(row, through_shoal), taken(row, own)
    ends = perf_counter() + seconds
    while len(pairs) < FEWEST_TURNS or (len(pairs) < turns and perf_counter() < ends):
        pairs.append((taken(row, through_shoal), taken(row, own)))
    return Figure(
        row,
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def taken(row: Row, way: Way) -> float:
    """Returns microseconds a call."""
    started = perf_counter()
    row.work(way)
    return (perf_counter() - started) * 1e6 / row.calls


def page(engine: str, figures: list[Figure]) -> str:
    """Returns the page, in Markdown."""
    lines = [
        f"# What the {engine} engine adds to a call",
        "",
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d}",
        f"- machine: {machine()}",
        f"- load when ended: {load()}",
        f"- {engine} {version({'ray': 'ray', 'dask': 'distributed'}[engine])}, Python {sys.version.split()[0]}, {CPUS} CPUs",
        f"- again: `python benchmarks/engines.py --engine {engine}`",
        "",
        f"Microseconds a call, medians of turns. `ratio`: the median of those of neighbouring turns; {GOAL:.2f} is the goal.",
        "",
        f"| | shoal | {engine} | ratio |",
        "|---|---|---|---|",
        *(f"| {one.row.name} | {one.shoal:.0f} | {one.own:.0f} | {one.ratio:.2f} |" for one in figures),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what an engine adapter adds to each call.")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="ray")
    parser.add_argument("--turns", type=int, default=40, metavar="N", help="of each way, for each row (default: 40)")
    parser.add_argument("--seconds", type=float, default=12, metavar="S", help="for each row, about (default: 12)")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the page here, too")
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import shoal

    begin, address = ENGINES[options.engine]
    own = begin()
    shoal.init(address)
    through_shoal = Shoal()
    try:
        figures = [measure(row, through_shoal, own, options.turns, options.seconds) for row in ROWS]
    finally:
        through_shoal.end()
        own.end()
    text = page(options.engine, figures)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
