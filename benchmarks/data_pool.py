"""Measures how busy the slow stage of an inference pipeline is kept while reading, preprocessing and writing stream beside it.

python benchmarks/data_pool.py --markdown docs/benchmarks-data-pool.md

The model stands for one on a device: it waits, so that the stages beside it have the processors to themselves, as they have where a GPU
works. Each call notes when it began and ended; busy is the time in calls, over that from the first call's beginning to the last one's end.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine
from report import markdown_line

import shoal

GOAL = 0.95


class Model:
    """Waits for each batch and computes a little of it, and notes from when to when."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        time.sleep(self.seconds)
        rows = len(batch["image"])
        label = batch["image"].mean(axis=1)
        ended = time.perf_counter()
        return {
            "label": label,
            "began": np.full(rows, began),
            "ended": np.full(rows, ended),
            "actor": np.full(rows, id(self)),
        }


def preprocess(batch: dict[str, Any]) -> dict[str, Any]:
    """Work for a processor."""
    return {"image": (batch["image"].astype(np.float32) / 255 - 0.5) * 2}


def make_files(folder: Path, files: int, rows: int, pixels: int) -> None:
    generator = np.random.default_rng(1)
    for number in range(files):
        image = pa.FixedSizeListArray.from_arrays(
            pa.array(generator.integers(0, 255, rows * pixels, dtype=np.uint8)), pixels
        )
        pq.write_table(pa.table({"image": image}), folder / f"{number:03}.parquet")


def measure(folder: Path, target: Path, actors: int, batch_size: int, seconds: float) -> tuple[float, float, int]:
    """Returns the busy fraction, the seconds of all, and the number of calls."""
    started = time.perf_counter()
    shoal.data.read_parquet(str(folder)).map_batches(lambda batch: {"image": np.stack(batch["image"])}).map_batches(
        preprocess, batch_size=batch_size
    ).map_batches(
        Model, fn_constructor_args=(seconds,), batch_size=batch_size, concurrency=actors, num_cpus=0
    ).write_parquet(str(target))
    took = time.perf_counter() - started
    table = pq.read_table(target, columns=["began", "ended"])
    calls = sorted(set(zip(table["began"].to_pylist(), table["ended"].to_pylist(), strict=True)))
    busy = sum(ended - began for began, ended in calls)
    span = max(ended for _, ended in calls) - calls[0][0]
    return busy / (span * actors), took, len(calls)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    shoal.data.DataContext.get_current().enable_progress_bars = False
    lines = [
        "# How busy a pool of actors is kept",
        "",
        f"- machine: {machine()}",
        f"- {options.cpus} processors; 32 files of 512 images of 4,096 pixels; 64 images a call, 30 ms each",
        f"- medians of {options.rounds} rounds",
        "- again: `python benchmarks/data_pool.py --markdown docs/benchmarks-data-pool.md`",
        "",
        "Parquet is read and preprocessed in tasks, goes through a model in a pool of actors, and is written. The model waits, as for a",
        "device. Busy is the time in the model's calls, of the time from the first to the last of them, of all actors.",
        "",
        markdown_line(["actors", "calls", "seconds", "busy", f"≥ {GOAL:.0%}"]),
        markdown_line(["---"] * 5),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        folder.mkdir()
        make_files(folder, files=32, rows=512, pixels=4096)
        for actors in options.actors:
            found = []
            for number in range(options.rounds):
                shoal.init(num_cpus=options.cpus, log_to_driver=False)
                found.append(measure(folder, Path(scratch) / f"out-{actors}-{number}", actors, 64, 0.030))
                shoal.shutdown()
            busy = statistics.median(one[0] for one in found)
            took = statistics.median(one[1] for one in found)
            met = "yes" if busy >= GOAL else "no"
            lines.append(markdown_line([str(actors), str(found[0][2]), f"{took:.2f}", f"{busy:.1%}", met]))
    page = "\n".join(lines) + "\n"
    print(page)
    if options.markdown:
        options.markdown.write_text(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
