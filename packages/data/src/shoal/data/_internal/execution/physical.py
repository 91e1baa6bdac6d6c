"""From a logical plan to the stages that carry it out; steps that may share a task are fused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from shoal.data._internal.blocks.combine import size_bytes
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.driver_stages import LimitStage, OrderStage, RowsStage, UnionStage, ZipStage
from shoal.data._internal.execution.exchange_stages import ExchangeStage, JoinStage
from shoal.data._internal.execution.exchanges import exchange_of
from shoal.data._internal.execution.pool_stage import PoolStage
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.execution.reservations import Demand
from shoal.data._internal.execution.stage import Stage
from shoal.data._internal.execution.task_stages import BlocksStage, ReadStage, SampleStage, TransformStage, WriteStage
from shoal.data._internal.execution.transforms import Step, is_row_wise, step_of
from shoal.data._internal.plan.compute import PLAIN, Compute
from shoal.data._internal.plan.operators import (
    Blocks,
    Join,
    Limit,
    MapBatches,
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


@dataclass(eq=False)
class Node:
    """A stage to be: what it does, and over which inputs."""

    name: str
    inputs: list[Node]
    make: Callable[[Calls], Stage]
    compute: Compute = PLAIN


def demand_of(node: Node, cpus: float) -> Demand:
    """Returns what a stage asks for, where the plan may use so many processors."""
    options = dict(node.compute.options)
    others = {name: float(amount) for name, amount in (options.get("resources") or {}).items()}
    for option, name in (("num_gpus", "GPU"), ("memory", "memory")):
        if options.get(option):
            others[name] = float(options[option])
    asked = options.get("num_cpus")
    is_pool = node.compute.actors
    return Demand(
        name=node.name,
        cpus=min(1.0, cpus) if asked is None else float(asked),
        is_explicit=asked is not None,
        others=others,
        actors=node.compute.min_size if is_pool else None,
        most_actors=node.compute.max_size if is_pool else None,
    )


def physical_plan(plan: Operator, parallelism: int, partition_bytes: int) -> Node:
    """Returns the last stage to be of a plan.

    Args:
        plan: optimised.
        parallelism: read tasks wanted, where the user asked for none.
        partition_bytes: about how large the partitions of exchanges shall be.
    """
    if is_row_wise(plan):
        return _row_wise(plan, parallelism, partition_bytes)
    inputs = [physical_plan(child, parallelism, partition_bytes) for child in plan.inputs]
    compute = getattr(plan, "compute", PLAIN)
    return Node(plan.name, inputs, _maker(plan, parallelism, partition_bytes), compute)


def _row_wise(plan: Operator, parallelism: int, partition_bytes: int) -> Node:
    """Fuses steps, from the last one down, as long as one task may do them all."""
    chain: list[RowWise] = []
    current: Operator = plan
    while isinstance(current, RowWise) and (not chain or _may_share(current, chain[-1])):
        chain.append(current)
        current = current.input
    chain.reverse()
    steps = [step_of(operator) for operator in chain]
    name = "->".join(operator.name for operator in chain)
    compute = next((operator.compute for operator in chain if not operator.compute.is_plain), PLAIN)
    sizes = [operator.batch_size for operator in chain if isinstance(operator, MapBatches) and operator.batch_size]
    rows_together = max(sizes, default=None)
    if isinstance(current, Read) and not compute.actors and not rows_together and _may_read(current, compute):
        return _reading(current, steps, f"{current.name}->{name}", compute, parallelism)
    below = physical_plan(current, parallelism, partition_bytes)
    kind = PoolStage if compute.actors else TransformStage
    return Node(name, [below], lambda calls: kind(name, steps, compute, calls, rows_together), compute)


def _may_share(lower: RowWise, upper: RowWise) -> bool:
    low, up = lower.compute, upper.compute
    if low.is_plain or up.is_plain:
        return not low.actors and not up.actors and ((low.is_plain and up.is_plain) or low.options == up.options)
    return low.runs_with(up)


def _may_read(read: Read, compute: Compute) -> bool:
    return (read.compute.is_plain and compute.is_plain) or read.compute == compute


def _reading(read: Read, steps: list[Step], name: str, compute: Compute, parallelism: int) -> Node:
    def make(calls: Calls) -> Stage:
        tasks = read.source.read_tasks(read.blocks_wanted or parallelism, read.row_limit)
        return ReadStage(name, tasks, steps, read.compute if not read.compute.is_plain else compute, calls)

    return Node(name, [], make, read.compute if not read.compute.is_plain else compute)


def _maker(plan: Operator, parallelism: int, partition_bytes: int) -> Callable[[Calls], Stage]:
    if isinstance(plan, Read):
        return _reading(plan, [], plan.name, PLAIN, parallelism).make
    if isinstance(plan, Blocks):
        return lambda calls: BlocksStage(plan.name, bundles_of(plan))
    if isinstance(plan, Write):
        return lambda calls: WriteStage(plan.name, plan.sink, plan.write_id, plan.compute, calls)
    if isinstance(plan, Limit):
        return lambda calls: LimitStage(plan.count, calls)
    if isinstance(plan, RandomSample):
        return lambda calls: SampleStage(plan.fraction, plan.seed, calls)
    if isinstance(plan, RepartitionRows):
        return lambda calls: RowsStage(plan.rows, calls)
    if isinstance(plan, RandomizeBlockOrder):
        return lambda calls: OrderStage(plan.seed)
    if isinstance(plan, Union):
        return lambda calls: UnionStage(len(plan.parts))
    if isinstance(plan, Zip):
        return lambda calls: ZipStage(len(plan.parts), calls)
    if isinstance(plan, Join):
        return lambda calls: JoinStage(JoinExchange(plan), calls, partition_bytes)
    assert isinstance(plan, OneInput)
    return lambda calls: ExchangeStage(exchange_of(plan), calls, partition_bytes)


def bundles_of(plan: Blocks) -> list[Bundle]:
    """Returns ready blocks with what is known of them."""
    return [
        Bundle(block, rows, size, plan.block_schema)
        for block, rows, size in zip(plan.blocks, plan.row_counts, plan.sizes, strict=True)
    ]


def blocks_of(tables: list[pa.Table], files: tuple[str, ...] = ()) -> Blocks:
    """Returns the operator that stands for tables that are here."""
    from shoal.data._internal.blocks.combine import unify_schemas

    schemas = [table.schema for table in tables if table.num_columns]
    schema = unify_schemas(schemas) if schemas else (tables[0].schema if tables else None)
    return Blocks(
        tuple(tables),
        tuple(table.num_rows for table in tables),
        tuple(size_bytes(table) for table in tables),
        schema,
        files,
    )
