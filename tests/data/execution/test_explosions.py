"""Few rows that become very many: what one task makes pauses while nobody takes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data import DataContext, Dataset, ExecutionResources
from shoal.data._internal.execution.transforms import FlatMapStep, step_of
from shoal.data._internal.plan.operators import FlatMap, MapBatches

MIB = 1 << 20
ROWS, EACH, WIDTH = 4, 2_000, 1_024  # 4 rows become 8,000 of 8 KiB: 64 MiB
BUDGET = 16 * MIB


def many(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(EACH):
        yield {"number": row["id"] * EACH + number, "data": np.zeros(WIDTH)}


def many_batches(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for first in batch["id"]:
        for number in range(0, EACH, 100):
            numbers = first * EACH + np.arange(number, number + 100)
            yield {"number": numbers, "data": np.zeros((100, WIDTH))}


WAYS: dict[str, Callable[[Dataset], Dataset]] = {
    "flat_map": lambda ds: ds.flat_map(many, num_cpus=1),
    "a generator of batches": lambda ds: ds.map_batches(many_batches, num_cpus=1),
    "before another stage": lambda ds: ds.flat_map(many, num_cpus=0.5).map_batches(slowly, batch_size=64, num_cpus=0.6),
}


def slowly(batch: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.002)
    return batch


@pytest.mark.parametrize("kind", WAYS)
def test_what_waits_stays_within_the_budget(kind: str, shared_session: None) -> None:
    context = DataContext.get_current()
    limits = context.execution_options.resource_limits
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=BUDGET)
    try:
        ds = WAYS[kind](shoal.data.range(ROWS, override_num_blocks=1))
    finally:
        context.execution_options.resource_limits = limits
    numbers = []
    for batch in ds.iter_batches(batch_size=64, prefetch_batches=0):
        time.sleep(0.002)  # the consumer's work
        numbers.extend(batch["number"].tolist())
    assert numbers == list(range(ROWS * EACH))
    run = ds._last_run
    assert run is not None
    assert 0 < run.peak_bytes <= 1.5 * BUDGET  # 64 MiB without pauses


def test_a_few_rows_travel_on_before_the_next_are_made() -> None:
    plan = shoal.data.range(ROWS).flat_map(many)._plan
    assert isinstance(plan, FlatMap)
    step = step_of(plan)
    assert isinstance(step, FlatMapStep)
    tables = list(step([shoal.data.range(ROWS).to_arrow_refs() and _ids(ROWS)]))
    assert max(table.nbytes for table in tables) <= 16 * MIB
    assert [n for table in tables for n in table["number"].to_pylist()] == list(range(ROWS * EACH))


def _ids(count: int) -> Any:
    import pyarrow as pa

    return pa.table({"id": list(range(count))})


def test_steps_of_batches_make_them_one_by_one() -> None:
    plan = shoal.data.range(ROWS).map_batches(many_batches)._plan
    assert isinstance(plan, MapBatches)
    tables = step_of(plan)([_ids(ROWS)])
    assert next(tables).num_rows == 100
