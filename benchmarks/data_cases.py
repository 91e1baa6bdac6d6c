"""The rows about data on shoal and on Ray: one function each, which knows nothing but the module that it is given.

Each returns what it computed, so that nobody can win by leaving work out; `data.py` compares the answers.
"""

# The module under test comes as Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from data_files import Files

Answer = float
CASES: dict[str, Callable[[Any, Files], Answer | tuple[Answer, float]]] = {}
"""A case returns its answer or, where it measures time by itself, answer and seconds."""


def case(function: Callable[[Any, Files], Any]) -> Callable[[Any, Files], Any]:
    CASES[function.__name__] = function
    return function


@case
def tiny(data: Any, files: Files) -> Answer:
    return len(data.range(100).map(lambda row: row).take_all())


@case
def range_sum(data: Any, files: Files) -> Answer:
    return data.range(20_000_000).map_batches(lambda batch: {"x": batch["id"] * 2}).sum("x")


@case
def row_map(data: Any, files: Files) -> Answer:
    return data.range(200_000).map(lambda row: {"x": row["id"] + 1}).sum("x")


@case
def groupby_sum(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).groupby("k").sum("f").count()


@case
def filter_aggregate(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).filter(expr="f < 0.1").sum("f")


@case
def sort(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).sort("big").materialize().count()


@case
def shuffle(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).random_shuffle(seed=1).materialize().count()


@case
def repartition(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).repartition(16).materialize().count()


@case
def join(data: Any, files: Files) -> Answer:
    right = data.range(1000).map_batches(lambda batch: {"k": batch["id"], "weight": batch["id"] * 2})
    return data.read_parquet(files.table).join(right, "inner", 8, on=("k",)).sum("weight")


@case
def iter_batches(data: Any, files: Files) -> Answer:
    return sum(len(batch["k"]) for batch in data.read_parquet(files.table).iter_batches(batch_size=4096))


@case
def torch_batches(data: Any, files: Files) -> Answer:
    numbers = data.read_parquet(files.table, columns=["k", "big", "f"])
    return sum(len(batch["k"]) for batch in numbers.iter_torch_batches(batch_size=4096))


@case
def first_batch(data: Any, files: Files) -> tuple[Answer, float]:
    started = time.perf_counter()
    batches = iter(data.read_parquet(files.table).iter_batches(batch_size=4096))
    rows = len(next(batches)["k"])
    seconds = time.perf_counter() - started
    batches.close()
    return rows, seconds


@case
def count_many(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.many).count()


@case
def take_many(data: Any, files: Files) -> Answer:
    return len(data.read_parquet(files.many).take(3))


class Doubled:
    """A model that takes no time."""

    def __call__(self, batch: Any) -> Any:
        return {"y": batch["f"] * 2}


@case
def actor_pool(data: Any, files: Files) -> Answer:
    return data.read_parquet(files.table).map_batches(Doubled, concurrency=2, batch_size=50_000).sum("y")
