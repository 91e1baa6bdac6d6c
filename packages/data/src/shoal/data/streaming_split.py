"""One run of a dataset, shared by several loops: a coordinating actor hands its blocks out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import shoal
from shoal.data._internal.blocks.combine import slice_rows
from shoal.data.iterator import DataIterator
from shoal.data.schema import Schema

if TYPE_CHECKING:
    from shoal.data._internal.api.base import DatasetBase
    from shoal.data.context import DataContext
    from shoal.data.dataset import MaterializedDataset


def split_iterators(dataset: DatasetBase, count: int, equal: bool) -> list[DataIterator]:
    """Returns iterators that share one run of a dataset at a time."""
    if not shoal.is_initialized():
        shoal.init()
    found: Schema | None = dataset.schema(fetch_if_missing=False)
    # Its threads: one for each reader, who wait for one another at the start of a pass.
    coordinator = shoal.remote(num_cpus=0, max_concurrency=count + 1)(_Coordinator).remote(
        dataset._plan, dataset._context, count, equal
    )
    return [ShardIterator(coordinator, part, found, dataset._context) for part in range(count)]


class _Coordinator:
    """Runs the dataset, one pass at a time, and hands its blocks to whoever asks first, or evenly."""

    def __init__(self, plan: Any, context: Any, count: int, equal: bool) -> None:
        import threading

        from shoal.data.dataset import Dataset

        self._dataset = Dataset(plan, context)
        self._count = count
        self._equal = equal
        self._condition = threading.Condition()
        self._arrived: set[int] = set()
        self._pass = -1
        self._blocks: Iterator[Any] | None = None
        self._ended = True
        self._error: BaseException | None = None
        self._assigned: list[deque[Any]] = []
        self._over: deque[Any] = deque()
        """Slices of blocks that are shared out with the next one."""
        self._reading = False

    def begin(self, part: int) -> int:
        """Waits until all readers begin the next pass; returns its number."""
        with self._condition:
            self._arrived.add(part)
            if len(self._arrived) == self._count:
                self._arrived.clear()
                self._pass += 1
                self._blocks = iter(self._dataset._run())
                self._ended, self._error = False, None
                self._assigned = [deque() for _ in range(self._count)]
                self._over.clear()
                self._condition.notify_all()
                return self._pass
            mine = self._pass
            while self._pass == mine:
                self._condition.wait()
            return self._pass

    def next_block(self, number: int, part: int) -> Any:
        """Returns [block or reference, first row, rows] of the reader's share; None at the end of the pass."""
        with self._condition:
            while True:
                if number != self._pass:
                    return None
                if self._assigned[part]:
                    return self._assigned[part].popleft()
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                if not self._reading:
                    self._reading = True
                    break
                self._condition.wait()
        try:
            self._read_one(part)
        finally:
            with self._condition:
                self._reading = False
                self._condition.notify_all()
        return self.next_block(number, part)

    def _read_one(self, part: int) -> None:
        assert self._blocks is not None
        try:
            bundle = next(self._blocks, None)
        except BaseException as error:
            with self._condition:
                self._ended, self._error = True, error
            return
        with self._condition:
            if bundle is None:
                self._ended = True
            elif bundle.rows and self._equal:
                self._share(bundle)
            elif bundle.rows:
                self._assigned[part].append([bundle.block, 0, bundle.rows])

    def _share(self, bundle: Any) -> None:
        """Every reader gets the same number of rows; less rows than readers are kept for the next block, and at last left out."""
        self._over.append([bundle.block, 0, bundle.rows])
        each = sum(rows for _, _, rows in self._over) // self._count
        if each == 0:
            return
        for part in range(self._count):
            left = each
            while left:
                block, start, rows = self._over[0]
                taken = min(rows, left)
                self._assigned[part].append([block, start, taken])
                left -= taken
                if taken == rows:
                    self._over.popleft()
                else:
                    self._over[0] = [block, start + taken, rows - taken]


class ShardIterator(DataIterator):
    """One worker's share of a run. Can be passed to a task or actor."""

    def __init__(self, coordinator: Any, part: int, schema: Schema | None, context: DataContext) -> None:
        self._coordinator = coordinator
        self._part = part
        self._schema = schema
        self._context = context

    def _open(self) -> Iterator[pa.Table]:
        number = shoal.get(self._coordinator.begin.remote(self._part))
        upcoming = self._coordinator.next_block.remote(number, self._part)
        while True:
            found = shoal.get(upcoming)
            if found is None:
                return
            # The next one is on its way while this one is worked on.
            upcoming = self._coordinator.next_block.remote(number, self._part)
            block, start, rows = found
            table = block if isinstance(block, pa.Table) else shoal.get(block)
            yield slice_rows(table, start, rows)

    def schema(self) -> Schema | None:
        return self._schema

    def stats(self) -> str:
        return ""

    def get_context(self) -> DataContext:
        return self._context

    def materialize(self) -> MaterializedDataset:
        from shoal.data._internal.execution.physical import blocks_of
        from shoal.data.dataset import MaterializedDataset

        return MaterializedDataset(blocks_of(list(self._open())), self._context)
