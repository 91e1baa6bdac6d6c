"""Measures how much memory Data takes for more data than its memory budget: peak PSS of the whole process tree, less that of the same job
on next to no data.

The budget is the object store and as much again for the heaps of driver and workers: a session with `object_store_memory=budget / 2`.

    python benchmarks/data_memory.py --budget 512 --times 4 --markdown docs/benchmarks-data-memory.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from process_tree import proportional_memory
from report import markdown_line

MIB = 1 << 20
ROW_BYTES = 33
FILES = 16
LOOK_SECONDS = 0.02
JOBS = ("map", "sort", "groupby", "join", "shuffle")


def main() -> None:
    options = parse_arguments()
    if options.job:
        print(json.dumps(run_job(options.job, options.budget * MIB, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        prepare(Path(scratch), options.budget * MIB * options.times)
        rows = []
        for job in JOBS:
            command = [sys.executable, __file__, "--job", job, "--budget", str(options.budget), "--folder", scratch]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
            print(job, found, file=sys.stderr, flush=True)
            rows.append((job, found))
    page = markdown(rows, options)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the memory that Data takes for more data than its budget.")
    parser.add_argument("--budget", type=int, default=512, metavar="MIB", help="object store and heaps together")
    parser.add_argument("--times", type=int, default=4, metavar="N", help="data is so many times the budget")
    parser.add_argument("--folder", metavar="PATH", help="where the files are made")
    parser.add_argument("--markdown", type=Path, metavar="PATH")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(folder: Path, size: int) -> None:
    """Writes Parquet files of so many bytes in memory, and one of 2,000 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)

    def table(rows: int) -> Any:
        return pa.table(
            {
                "k": random.integers(0, 1000, rows),
                "big": random.integers(0, 1 << 40, rows),
                "f": random.random(rows),
                "s": pa.array(random.integers(0, 100_000, rows).astype(str)),
            }
        )

    (folder / "large").mkdir()
    for number in range(FILES):
        pq.write_table(
            table(size // ROW_BYTES // FILES), folder / "large" / f"{number:02}.parquet", row_group_size=250_000
        )
    pq.write_table(table(2000), folder / "small.parquet", row_group_size=125)


def jobs(data: Any, path: str) -> dict[str, Callable[[], Any]]:
    """What is run on the files at a path."""

    def read() -> Any:
        return data.read_parquet(path, override_num_blocks=16 if path.endswith("small.parquet") else None)

    return {
        "map": lambda: read().map_batches(lambda batch: {**batch, "x": batch["f"] * 2}),
        "sort": lambda: read().sort("big"),
        "groupby": lambda: read().groupby("big").sum("f"),
        "join": lambda: read().join(
            read().select_columns(["big", "f"]).rename_columns({"f": "g"}), "inner", None, on=("big",)
        ),
        "shuffle": lambda: read().random_shuffle(seed=1),
    }


def run_job(job: str, budget: int, folder: Path) -> dict[str, float]:
    """Runs one job on little data, then on all of it."""
    import shoal

    shoal.init(num_cpus=2, object_store_memory=budget // 2)
    context = shoal.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.small_data_size = context.columnar_data_size = 0
    small, large = (jobs(shoal.data, str(folder / name))[job] for name in ("small.parquet", "large"))
    consume(small())
    consume(small())
    empty = proportional_memory(os.getpid())
    watch = Watch()
    started = time.perf_counter()
    rows = consume(large())
    seconds = time.perf_counter() - started
    peak = watch.stop()
    shoal.shutdown()
    return {"rows": rows, "seconds": seconds, "empty": empty / MIB, "peak": peak / MIB, "above": (peak - empty) / MIB}


def consume(dataset: Any) -> int:
    """Takes all batches, keeps none, and returns the number of rows."""
    return sum(batch.num_rows for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"))


class Watch:
    """Looks at the memory of this process and its descendants until it is stopped."""

    def __init__(self) -> None:
        self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._peak = max(self._peak, proportional_memory(os.getpid()))

    def stop(self) -> int:
        """Returns the most that was seen, in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak


def markdown(rows: list[tuple[str, dict[str, float]]], options: argparse.Namespace) -> str:
    size = options.budget * options.times
    lines = [
        "# Memory of Data",
        "",
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d}",
        f"- machine: {machine()}",
        f"- budget: {options.budget} MiB (half of it object store), data: {size} MiB in memory, 2 processors",
        f"- again: `{shlex.join(['python', 'benchmarks/data_memory.py', *sys.argv[1:]])}`",
        "",
        "Proportional set size (PSS) of driver, daemon and workers together, looked at every 20 ms.",
        "*Empty run* is the same job on 2,000 rows.",
        "",
        markdown_line(["", "rows", "seconds", "after an empty run, MiB", "peak, MiB", "above it, MiB", "≤ budget"]),
        markdown_line(["---"] * 7),
    ]
    for job, found in rows:
        numbers = [
            f"{found['rows']:,}",
            f"{found['seconds']:.1f}",
            *(f"{found[name]:.0f}" for name in ("empty", "peak", "above")),
        ]
        lines.append(markdown_line([job, *numbers, "yes" if found["above"] <= options.budget else "no"]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
