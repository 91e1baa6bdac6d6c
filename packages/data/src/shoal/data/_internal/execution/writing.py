"""Writing: tasks that hand blocks to a sink, and what the driver tells the sink before and after."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.plan.compute import Compute
from shoal.data._internal.plan.operators import Write
from shoal.data._internal.plan.schemas import known_schema
from shoal.data._internal.sinks.datasink import TaskContext, WriteResult, run_write_task

if TYPE_CHECKING:
    from shoal.data._internal.api.base import DatasetBase


def write(dataset: DatasetBase, sink: Any, compute: Compute, write_id: str) -> None:
    """Runs a dataset and writes all of it to a sink. The sink is told of the start, and of the end or the failure."""
    sink.set_write_id(write_id)
    sink.on_write_start(known_schema(dataset._plan))
    if sink.skips_write:
        return
    try:
        run = dataset._over(Write(dataset._plan, sink, write_id, compute))
        tables = [bundle.table() for bundle in run._bundles()]
        dataset._last_run = run._last_run
        results = [pickle.loads(data) for table in tables for data in table.column("result").to_pylist()]
        sink.on_write_complete(WriteResult.combine(*results))
    except BaseException as error:
        sink.on_write_failed(error)
        raise


def written(sink: Any, write_id: str, index: int, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Writes blocks in one task; yields a row with the pickled result."""
    context = TaskContext(task_index=index, write_id=write_id, op_name=f"Write{sink.get_name()}")
    result = run_write_task(sink, (table for table in tables if table.num_rows), context)
    yield pa.table({"result": pa.array([pickle.dumps(result)], pa.large_binary())})
