"""Datasets on the inline engine: tasks and actors run in the driver's process, where breakpoints work. The results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data import DataContext, Dataset


@pytest.fixture(scope="module", autouse=True)
def inline_session(no_session_of_other_modules: None) -> Iterator[None]:
    context = DataContext.get_current()
    before = context.small_data_size, context.columnar_data_size, context.target_min_block_size
    context.small_data_size = context.columnar_data_size = -1
    context.target_min_block_size = 1
    shoal.init(local_mode=True)
    yield
    shoal.shutdown()
    context.small_data_size, context.columnar_data_size, context.target_min_block_size = before


class AddOne:
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"id": batch["id"] + 1}


def rows() -> Dataset:
    return shoal.data.range(1000, override_num_blocks=4)


CASES: dict[str, tuple[Callable[[], Dataset], list[int]]] = {
    "map": (lambda: rows().map(lambda row: {"id": row["id"] * 2}), [2 * n for n in range(1000)]),
    "actors": (lambda: rows().map_batches(AddOne, concurrency=2, batch_size=64), list(range(1, 1001))),
    "filter": (lambda: rows().filter(lambda row: row["id"] % 100 == 0), list(range(0, 1000, 100))),
    "limit": (lambda: rows().limit(7), list(range(7))),
    "sort": (lambda: rows().random_shuffle(seed=1).sort("id"), list(range(1000))),
    "repartition": (lambda: rows().repartition(3), list(range(1000))),
    "union": (lambda: rows().limit(2).union(rows().limit(3)), [0, 1, 0, 1, 2]),
    "join": (lambda: rows().join(rows(), "inner", 2, on=("id",)).sort("id"), list(range(1000))),
}


@pytest.mark.parametrize("name", CASES)
def test_transforms(name: str) -> None:
    make, expected = CASES[name]
    assert [row["id"] for row in make().take_all()] == expected


def test_groupby() -> None:
    grouped = rows().map(lambda row: {"k": row["id"] % 3, "v": row["id"]}).groupby("k").sum("v").sort("k")
    assert [row["sum(v)"] for row in grouped.take_all()] == [sum(range(k, 1000, 3)) for k in range(3)]


def test_shuffle_is_that_of_the_native_engine() -> None:
    here = [row["id"] for row in rows().random_shuffle(seed=5).take_all()]
    context = DataContext.get_current()
    context.small_data_size = 1 << 20
    assert here == [row["id"] for row in rows().random_shuffle(seed=5).take_all()]
    context.small_data_size = -1


def test_batches_and_splits() -> None:
    batches = list(rows().iter_batches(batch_size=300))
    assert [len(batch["id"]) for batch in batches] == [300, 300, 300, 100]
    assert np.concatenate([batch["id"] for batch in batches]).tolist() == list(range(1000))
    assert [part.count() for part in rows().split(4, equal=True)] == [250] * 4


def test_an_error_names_the_step() -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        rows().map(fail).take_all()
