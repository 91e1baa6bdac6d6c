"""Runs a plan in the calling process, without a task: for small data, for tests, and inside of tasks. A chain of generators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from shoal.data._internal.exchange.exchange import Exchange
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.execution.exchanges import exchange_of
from shoal.data._internal.execution.positional import block_order, cut, sampled, zipped
from shoal.data._internal.execution.transforms import batches_of, is_row_wise, step_of
from shoal.data._internal.plan.operators import (
    Blocks,
    Join,
    Limit,
    OneInput,
    Operator,
    RandomizeBlockOrder,
    RandomSample,
    Read,
    RepartitionRows,
    RowWise,
    Union,
    Write,
    Zip,
)


def run_here(plan: Operator, skipped_files: list[str]) -> Iterator[pa.Table]:
    """Yields the blocks of a plan's result, in order. Adds the files that were passed over because they cannot be read."""
    if isinstance(plan, Read):
        for read_task in plan.source.read_tasks(plan.blocks_wanted or 1, plan.row_limit):
            task = read_task.in_driver()
            yield from task()
            skipped_files.extend(task.skipped_files)
    elif isinstance(plan, Blocks):
        yield from _tables(plan)
    elif is_row_wise(plan):
        assert isinstance(plan, RowWise)
        yield from step_of(plan)(run_here(plan.input, skipped_files))
    elif isinstance(plan, Limit):
        yield from cut(run_here(plan.input, skipped_files), plan.count)
    elif isinstance(plan, RandomSample):
        yield from sampled(run_here(plan.input, skipped_files), plan.fraction, plan.seed, 0)
    elif isinstance(plan, RepartitionRows):
        yield from batches_of((table for table in run_here(plan.input, skipped_files) if table.num_rows), plan.rows)
    elif isinstance(plan, RandomizeBlockOrder):
        tables = list(run_here(plan.input, skipped_files))
        yield from (tables[position] for position in block_order(len(tables), plan.seed))
    elif isinstance(plan, Union):
        for part in plan.parts:
            yield from run_here(part, skipped_files)
    elif isinstance(plan, Zip):
        yield from zipped([list(run_here(part, skipped_files)) for part in plan.parts])
    elif isinstance(plan, Write):
        from shoal.data._internal.execution.writing import written

        yield from written(plan.sink, plan.write_id, 0, run_here(plan.input, skipped_files))
    elif isinstance(plan, Join):
        yield from JoinExchange(plan).merge_sides(
            run_here(plan.left, skipped_files), run_here(plan.right, skipped_files)
        )
    else:
        assert isinstance(plan, OneInput)
        yield from exchange_here(exchange_of(plan), run_here(plan.input, skipped_files))


def _tables(plan: Blocks) -> Iterator[pa.Table]:
    import shoal

    for block in plan.blocks:
        yield block if isinstance(block, pa.Table) else shoal.get(block)


def exchange_here(exchange: Exchange, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields the blocks that come out of an exchange whose input is all here."""
    blocks = [exchange.before(table) for table in tables]
    total = sum(block.num_rows for block in blocks)
    partitions = exchange.partitions or 1
    samples = [sample for sample in map(exchange.sample, blocks) if sample is not None]
    ready = exchange.prepared(samples, total, partitions)
    split: list[list[pa.Table]] = []
    first = 0
    for block in blocks:
        split.append(list(ready.split(block, first, partitions)))
        first += block.num_rows
    for partition in range(partitions):
        yield from ready.merge((parts[partition] for parts in split), partition)
