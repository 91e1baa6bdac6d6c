"""Sorts ten times more data than the memory budget, and tells how near that is to what the machine can do at best.

The bound (as in Exoshuffle, Luan et al., SIGCOMM 2023, with the processor's part added) is the larger of

- bytes x passes / the disk's direct-IO rate: each row is written once and read once where data does not fit,
- bytes / the rate of the same sort on data that fits into memory.

The page cache is capped by a memory cgroup (v1, as root) of twice the budget, where the machine lets one be made; the page says whether.

    python benchmarks/data_sort.py --budget 512 --times 10 --markdown docs/benchmarks-data-sort.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import mmap
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import load, machine
from report import markdown_line

MIB = 1 << 20
ROW_BYTES = 32
ROW_GROUP = 100_000
CGROUPS = Path("/sys/fs/cgroup/memory")
PASSES = 2
DISK_BYTES = 1 << 30


def main() -> None:
    options = parse_arguments()
    if options.job:
        store = options.budget * MIB // 2 if options.job == "large" else None
        print(json.dumps(sort_files(Path(options.folder) / options.job, store)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        size = options.budget * MIB * options.times
        disk = disk_rate(folder)
        prepare(folder / "small", options.budget * MIB)
        prepare(folder / "large", size)
        small = [run("small", options, folder, None) for _ in range(options.rounds + 1)][
            1:
        ]  # the first reads cold files
        cap = cgroup(options.budget * MIB * 2)
        try:
            large = [run("large", options, folder, cap) for _ in range(options.rounds)]
        finally:
            if cap is not None:
                cap.rmdir()
    in_memory = options.budget * MIB / statistics.median(found["seconds"] for found in small)
    seconds = statistics.median(found["seconds"] for found in large)
    page = markdown(options, size, disk, in_memory, seconds, capped=cap is not None)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sorts more data than the memory budget.")
    parser.add_argument("--budget", type=int, default=512, metavar="MIB", help="object store and heaps together")
    parser.add_argument("--times", type=int, default=10, metavar="N", help="data is so many times the budget")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--folder", metavar="PATH", help="where the files are made: on the disk that is measured")
    parser.add_argument("--markdown", type=Path, metavar="PATH")
    parser.add_argument("--job", choices=("small", "large"), help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(folder: Path, size: int) -> None:
    """Writes Parquet files of so many bytes in memory: four columns of eight bytes, keys random."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    random = np.random.default_rng(0)
    rows, files = size // ROW_BYTES, max(4, size // (64 * MIB))
    for number in range(files):
        count = rows // files
        table = pa.table(
            {
                "big": random.integers(0, 1 << 40, count),
                "k": random.integers(0, 1000, count),
                "f": random.random(count),
                "row": np.arange(number * count, (number + 1) * count),
            }
        )
        pq.write_table(table, folder / f"{number:04}.parquet", row_group_size=ROW_GROUP, compression="none")


def disk_rate(folder: Path) -> float:
    """Bytes a second, writing and reading a file past the page cache."""
    path = folder / "direct"
    block = mmap.mmap(-1, 4 * MIB)
    block.write(os.urandom(4 * MIB))
    blocks = DISK_BYTES // len(block)
    started = time.perf_counter()
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    for _ in range(blocks):
        os.write(file, block)
    os.fsync(file)
    os.close(file)
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    for _ in range(blocks):
        os.readv(file, [block])
    os.close(file)
    seconds = time.perf_counter() - started
    path.unlink()
    return 2 * DISK_BYTES / seconds


def cgroup(limit: int) -> Path | None:
    """Makes a memory cgroup for memory and page cache together; None where the machine does not let us."""
    path = CGROUPS / f"shoal-sort-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(limit))
    except OSError as error:
        print(f"no cap of the page cache: {error}", file=sys.stderr)
        return None
    return path


def run(job: str, options: argparse.Namespace, folder: Path, cap: Path | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--job", job, "--budget", str(options.budget), "--folder", str(folder)]

    def enter() -> None:
        if cap is not None:
            (cap / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=enter)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(job, found, file=sys.stderr, flush=True)
    return found


def sort_files(folder: Path, store: int | None) -> dict[str, float]:
    """Sorts the files' rows, looks at each block's order, and keeps none."""
    import shoal

    arguments: dict[str, Any] = {} if store is None else {"object_store_memory": store}
    shoal.init(num_cpus=2, **arguments)
    context = shoal.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.small_data_size = context.columnar_data_size = 0
    shoal.data.range(1000).map_batches(lambda batch: batch).materialize()
    started = time.perf_counter()
    rows, last = 0, -1
    dataset = shoal.data.read_parquet(str(folder)).sort("big")
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        rows += batch.num_rows
        first, last = batch["big"][0].as_py(), batch["big"][-1].as_py()
        assert first <= last
    seconds = time.perf_counter() - started
    print(dataset.stats(), file=sys.stderr)
    shoal.shutdown()
    return {"rows": rows, "seconds": seconds}


def markdown(
    options: argparse.Namespace, size: int, disk: float, in_memory: float, seconds: float, *, capped: bool
) -> str:
    by_disk, by_processor = size * PASSES / disk, size / in_memory
    bound = max(by_disk, by_processor)
    cap = f"capped at {2 * options.budget} MiB together with memory" if capped else "not capped"
    lines = [
        "# Sorting more than fits",
        "",
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d}",
        f"- machine: {machine()}; load when it ended: {load()}",
        f"- budget: {options.budget} MiB (half of it object store), data: {size // MIB} MiB in memory, 2 processors",
        f"- page cache: {cap}",
        f"- medians of {options.rounds} rounds",
        f"- again: `{shlex.join(['python', 'benchmarks/data_sort.py', *sys.argv[1:]])}`",
        "",
        "The bound is the larger of *bytes x passes / direct-IO rate* (each row goes to the disk once and comes back once) and",
        "*bytes / rate of the same sort on data that fits*: reading Parquet, sorting, taking each block.",
        "",
        markdown_line(["", ""]),
        markdown_line(["---", "---"]),
        markdown_line(["disk, direct IO, writing and reading", f"{disk / MIB:,.0f} MiB/s"]),
        markdown_line(["bound by the disk", f"{by_disk:.1f} s"]),
        markdown_line([f"sort of {options.budget} MiB in memory", f"{in_memory / MIB:,.0f} MiB/s"]),
        markdown_line(["bound by the processors", f"{by_processor:.1f} s"]),
        markdown_line([f"sort of {size // MIB} MiB", f"{seconds:.1f} s"]),
        markdown_line(["fraction of the bound", f"{bound / seconds:.0%}"]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
