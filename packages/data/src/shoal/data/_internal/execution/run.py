"""Runs a plan: here, where it is small and asks for nothing, else on tasks and actors."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import shoal
from shoal.data._internal.blocks.combine import size_bytes
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.executor import Execution, Limits
from shoal.data._internal.execution.local_runner import run_here
from shoal.data._internal.execution.locality import runs_here
from shoal.data._internal.execution.physical import Node, physical_plan
from shoal.data._internal.execution.remote_calls import IORetries
from shoal.data._internal.execution.stage_stats import StageStats
from shoal.data._internal.execution.stats_report import stats_report
from shoal.data._internal.plan.operators import Operator, Read
from shoal.data._internal.plan.optimizer import optimized
from shoal.data._internal.plan.schemas import known_size
from shoal.data.context import MIB, DataContext

_MEMORY_SHARE = 0.5
"""Of the object store, for blocks on their way."""
_BLOCKS_A_CPU = 8
"""So many blocks for each processor must fit into that memory: what is worked on, what waits, and copies of both."""
_SPLITS_A_CPU = 2
"""So many inputs of splits for each processor must fit into that memory: what comes out of them takes as much."""
_LEAST_BLOCK = 64 << 10
_TASKS_A_CPU = 4
"""Read tasks for each processor, so that an uneven one does not keep the others waiting."""


class Run:
    """One execution of a plan. Iterate for its blocks in order; afterwards `stats` tells what was done.

    Args:
        plan: as the user wrote it.
        context: settings.
    """

    def __init__(self, plan: Operator, context: DataContext) -> None:
        self._plan = optimized(plan)
        self._context = context.checked()
        self._execution: Execution | None = None
        self._local = StageStats("in the driver")
        self.wall_seconds = 0.0

    @property
    def is_local(self) -> bool:
        """Whether it needs no task."""
        return runs_here(self._plan, self._context)

    def __iter__(self) -> Iterator[Bundle]:
        started = time.perf_counter()
        if self._context.print_on_execution_start:
            print(f"shoal.data: running {self._plan.name}", file=sys.stderr)  # noqa: T201  the user asked for it
        try:
            if self.is_local:
                yield from self._run_here()
            else:
                if not shoal.is_initialized():
                    shoal.init()
                self._execution = Execution(self.physical(), self._limits(), self._context.enable_progress_bars)
                yield from self._execution
        finally:
            self.wall_seconds = time.perf_counter() - started
            if self._context.enable_auto_log_stats:
                print(f"shoal.data: {stats_report(self)}", file=sys.stderr)  # noqa: T201  the user asked for it

    def _run_here(self) -> Iterator[Bundle]:
        local = self._local
        for table in run_here(self._plan, local.skipped_files):
            size = size_bytes(table)
            local.blocks += 1
            local.rows += table.num_rows
            local.bytes += size
            yield Bundle(table, table.num_rows, size, table.schema)

    def physical(self) -> Node:
        """Returns the stages that are to be."""
        limits = self._limits()
        wanted = max(1, int(limits.cpus * _TASKS_A_CPU))
        size = known_size(self._plan)
        if size is not None:
            wanted = max(wanted, -(-size // limits.most_bytes))
        return physical_plan(self._plan, wanted, limits.most_bytes)

    def _limits(self) -> Limits:
        options = self._context.execution_options
        there = shoal.cluster_resources()
        cpus = there.get("CPU", 1.0) - (options.exclude_resources.cpu or 0.0)
        if options.resource_limits.cpu is not None:
            cpus = min(cpus, options.resource_limits.cpu)
        memory = there.get("object_store_memory", 1024.0 * MIB) * _MEMORY_SHARE
        if options.resource_limits.object_store_memory is not None:
            memory = min(memory, options.resource_limits.object_store_memory)
        context = self._context
        busy = max(1.0, cpus)
        most_bytes = max(_LEAST_BLOCK, int(memory / (_BLOCKS_A_CPU * busy)))
        if context.target_max_block_size is not None:
            most_bytes = min(most_bytes, context.target_max_block_size)
        return Limits(
            cpus,
            memory,
            most_bytes,
            int(memory / (_SPLITS_A_CPU * busy)),
            # A block that may fail is worked on by itself.
            1 if context.max_errored_blocks else min(context.target_min_block_size, most_bytes),
            there,
            _free_cpus(there.get("CPU", 1.0)),
            context.max_errored_blocks,
            context.max_tasks_in_flight_per_actor,
            context.wait_for_min_actors_s,
            IORetries(tuple(context.retried_io_errors), tuple(context.write_file_retry_on_errors)),
        )

    @property
    def peak_bytes(self) -> int:
        """The most that blocks took that were made and not taken yet."""
        return self._execution.peak_bytes if self._execution is not None else 0

    @property
    def skipped_files(self) -> list[str]:
        """Files that were passed over because they cannot be read."""
        stages = [path for stage in self.stats() for path in stage.skipped_files]
        return list(dict.fromkeys([*_skipped_in_planning(self._plan), *stages]))

    def stats(self) -> list[StageStats]:
        """Returns what each stage did."""
        return self._execution.stats() if self._execution is not None else [self._local]


def _skipped_in_planning(plan: Operator) -> list[str]:
    if isinstance(plan, Read):
        return plan.source.skipped_files()
    return [path for child in plan.inputs for path in _skipped_in_planning(child)]


def _free_cpus(there: float) -> float:
    """Processors that no actor holds; tasks give theirs back."""
    if shoal.available_resources().get("CPU", 0.0) >= 1.0:
        return there
    from shoal.util.state import list_actors

    held = sum(float((actor.required_resources or {}).get("CPU", 0.0)) for actor in list_actors(detail=True))
    return there - held
