"""Which plans run in the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shoal import cloudpickle
from shoal.data import DataContext, Dataset
from shoal.data._internal.execution.locality import runs_here
from shoal.data._internal.execution.transforms import step_of
from shoal.data._internal.plan.operators import Read, RowWise
from shoal.data._internal.plan.optimizer import optimized
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.aggregate import AggregateFnV2, Sum
from shoal.data.expressions import col, udf

SMALL, COLUMNAR = 100, 1000


class Sized(Source):
    """Says how large it is, and is never read."""

    name = "Sized"

    def __init__(self, size: int | None) -> None:
        self._size = size

    def schema(self) -> pa.Schema:
        return pa.schema([("x", pa.int64()), ("y", pa.int64())])

    def size_bytes(self) -> int | None:
        return self._size

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        raise AssertionError("it is never read")


def sized(size: int | None) -> Dataset:
    return Dataset(Read(Sized(size)))


def here(dataset: Dataset) -> bool:
    context = DataContext(small_data_size=SMALL, columnar_data_size=COLUMNAR)
    return runs_here(optimized(dataset._plan), context)


class Last(AggregateFnV2):
    def __init__(self) -> None:
        super().__init__("last(x)", lambda: None, on="x", ignore_nulls=True)

    def aggregate_block(self, block: Any) -> Any:
        return None

    def combine(self, current: Any, new: Any) -> Any:
        return new


doubled = udf()(lambda values: values)
COLUMNAR_WORK: dict[str, Callable[[Dataset], Dataset]] = {
    "nothing": lambda ds: ds,
    "filter": lambda ds: ds.filter(expr=col("x") > 1),
    "columns": lambda ds: ds.with_column("z", col("x") + 1).select_columns(["z"]),
    "limit": lambda ds: ds.limit(1000),
    "group": lambda ds: ds.groupby("x").aggregate(Sum("y")),
    "join": lambda ds: ds.join(sized(50).map_batches(lambda batch: batch), "inner", None, on=("x",)),
}
OTHER_WORK: dict[str, Callable[[Dataset], Dataset]] = {
    "map": lambda ds: ds.map(lambda row: row),
    "python filter": lambda ds: ds.filter(lambda row: True),
    "udf": lambda ds: ds.with_column("z", doubled(col("x"))),
    "python aggregation": lambda ds: ds.groupby("x").aggregate(Last()),
    "sort": lambda ds: ds.sort("x"),
    "shuffle": lambda ds: ds.random_shuffle(seed=1),
}


@pytest.mark.parametrize("work", [*COLUMNAR_WORK.values(), *OTHER_WORK.values()], ids=[*COLUMNAR_WORK, *OTHER_WORK])
def test_small_data_stays_here_whatever_is_done(work: Callable[[Dataset], Dataset]) -> None:
    assert here(work(sized(SMALL - 50)))


@pytest.mark.parametrize("work", COLUMNAR_WORK.values(), ids=COLUMNAR_WORK)
def test_columnar_work_stays_here_up_to_its_own_limit(work: Callable[[Dataset], Dataset]) -> None:
    assert here(work(sized(COLUMNAR - 50)))
    assert not here(work(sized(COLUMNAR + 1)))


@pytest.mark.parametrize("work", OTHER_WORK.values(), ids=OTHER_WORK)
def test_other_work_on_more_than_a_little_does_not(work: Callable[[Dataset], Dataset]) -> None:
    assert not here(work(sized(SMALL + 1)))


def test_what_nobody_knows_the_size_of_does_not_stay_here() -> None:
    assert not here(sized(None))


def test_who_asks_for_processors_gets_tasks() -> None:
    assert not here(sized(1).map(lambda row: row, num_cpus=1))


def test_a_step_takes_nothing_of_the_plan_below_along() -> None:
    """Else each task would get all the data, and connections that cannot be pickled."""
    below = sized(1)._plan
    steps = [work(Dataset(below))._plan for work in (COLUMNAR_WORK["filter"], OTHER_WORK["udf"], OTHER_WORK["map"])]
    for plan in steps:
        assert isinstance(plan, RowWise)
        assert b"Sized" not in cloudpickle.dumps(step_of(plan))
