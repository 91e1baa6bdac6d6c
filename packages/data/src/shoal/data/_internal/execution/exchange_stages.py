"""Stages of exchanges: each block is prepared as it comes; when all are counted, they are split, and partitions merged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

import shoal
from shoal.data._internal.exchange.exchange import Exchange
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.execution import remote_work
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.execution.stage import OrderedOutput, Stage, Work

PREPARE, SPLIT, MERGE = "prepare", "split", "merge"

_PARTITIONS_A_CPU = 2
_GOOD_PART = 256 << 10
"""Bytes of a part that is large enough for the object store."""
_WORTH_A_TASK = 4 << 20
"""Bytes of a partition that is worth a task of its own."""


@dataclass(frozen=True, slots=True)
class _Split:
    """Blocks that one task splits.

    Args:
        side: the input.
        numbers: of its blocks; they follow one another.
        first_row: position of the first one's first row in the dataset.
    """

    side: int
    numbers: tuple[int, ...]
    first_row: int

    @property
    def key(self) -> tuple[int, int]:
        return self.side, self.numbers[0]


class _Barrier(Stage):
    """A stage in phases: take and prepare all blocks, split them, merge partitions. What it holds may go to disk."""

    def __init__(self, name: str, sides: int, calls: Calls, partition_bytes: int) -> None:
        super().__init__(name, sides)
        self._calls = calls
        self._partition_bytes = max(1, partition_bytes)
        self._incoming: deque[tuple[int, int, Bundle]] = deque()
        """Blocks to prepare: side, number, block."""
        self._prepared: dict[tuple[int, int], Bundle] = {}
        self._counts = [0] * sides
        self._partitions = 0
        """0 until all blocks are counted."""
        self._together = 1
        """So many partitions travel together, where they are small: many small objects cost more than a few large ones."""
        self._to_split: deque[_Split] = deque()
        self._parts: dict[tuple[int, int], list[Any]] = {}
        self._to_merge: deque[int] = deque()
        self._merging = False
        self._output = OrderedOutput()
        self._jobs: dict[int, Any] = {}
        self._last_job = 0

    def take(self, bundle: Bundle, side: int) -> None:
        number = self._counts[side]
        self._counts[side] += 1
        if self._needs_preparing(side):
            self._incoming.append((side, number, bundle))
        else:
            self._prepared[side, number] = bundle
        self.advance()

    def _needs_preparing(self, side: int) -> bool:
        return True

    @property
    def held_bytes(self) -> int:
        return self._output.held_bytes

    def waiting(self) -> int:
        return len(self._incoming) + len(self._to_split) + len(self._to_merge)

    def advance(self) -> None:
        if not self.inputs_ended or self._incoming or self.running:
            return
        if self._partitions == 0 and self._prepared:
            self._all_prepared()
        if self._to_split or self._to_merge:
            return
        if self._parts and not self._merging:
            self._merging = True
            self._to_merge.extend(range(0, self._partitions, self._together))
        else:
            self.end()

    def _all_prepared(self) -> None:
        """All blocks are counted: how many partitions shall there be?"""
        total = sum(bundle.size for bundle in self._prepared.values())
        asked = self._asked_partitions()
        self._partitions = asked if asked is not None else self._partitions_for(total)
        self._plan_split()

    def _partitions_for(self, total: int) -> int:
        """So many that each fits into memory, and that there is work for all processors where it is worth a task."""
        wanted = min(int(self._calls.cpus_there * _PARTITIONS_A_CPU), total // _WORTH_A_TASK)
        return max(1, wanted, -(-total // self._partition_bytes))

    def _asked_partitions(self) -> int | None:
        raise NotImplementedError

    def _plan_split(self) -> None:
        raise NotImplementedError

    def _splits(self) -> Iterator[_Split]:
        """Blocks are split together where their parts would be tiny; where they still are, several partitions travel together."""
        wanted = min(self._calls.split_bytes, self._partitions * _GOOD_PART)
        part = max(1, max(wanted, max(bundle.size for bundle in self._prepared.values())) // self._partitions)
        for_all_cpus = max(1, self._partitions // max(1, int(self._calls.cpus_there * _PARTITIONS_A_CPU)))
        self._together = min(for_all_cpus, -(-_GOOD_PART // part))
        first = row = size = 0
        numbers: list[int] = []
        side = 0
        for key in sorted(self._prepared):
            bundle = self._prepared[key]
            if numbers and (key[0] != side or size + bundle.size > wanted):
                yield _Split(side, tuple(numbers), first)
                numbers, size, first = [], 0, row
            side = key[0]
            numbers.append(key[1])
            size += bundle.size
            row += bundle.rows
        if numbers:
            yield _Split(side, tuple(numbers), first)

    def _split_ended(self, split: _Split, parts: list[Any]) -> None:
        for number in split.numbers:
            self._prepared.pop((split.side, number), None)
        self._parts[split.key] = parts

    def _job(self, job: Any) -> int:
        self._last_job += 1
        self._jobs[self._last_job] = job
        return self._last_job

    def made(self, work: Work, bundle: Bundle) -> None:
        if work.purpose == PREPARE:
            side, number, _ = self._jobs[work.sequence]
            self._prepared[side, number] = bundle
            return
        for ready in self._output.made(self._jobs[work.sequence] // self._together, bundle):
            self.emit(ready)

    def work_ended(self, work: Work, result: list[Any]) -> None:
        job = self._jobs.pop(work.sequence)
        if work.purpose == SPLIT:
            self._split_ended(job, result)
        elif work.purpose == MERGE:
            for ready in self._output.ended(job // self._together):
                self.emit(ready)
        self.advance()


class ExchangeStage(_Barrier):
    """An exchange with one input."""

    def __init__(self, exchange: Exchange, calls: Calls, partition_bytes: int) -> None:
        super().__init__(exchange.name, 1, calls, partition_bytes)
        self._exchange = exchange
        self._ready: Exchange = exchange
        self._samples: dict[int, Any] = {}

    def _needs_preparing(self, side: int) -> bool:
        kind = type(self._exchange)
        return kind.before is not Exchange.before or kind.sample is not Exchange.sample

    def _asked_partitions(self) -> int | None:
        return self._exchange.partitions

    def _plan_split(self) -> None:
        order = sorted(self._prepared)
        samples = [sample for sample in (self._samples.get(number) for _, number in order) if sample is not None]
        tables: list[pa.Table] = [table for table in shoal.get(samples) if table is not None]
        total = sum(bundle.rows for bundle in self._prepared.values())
        self._ready = self._exchange.prepared(tables, total, self._partitions)
        if self._partitions == 1 and not self._exchange.needs_rows_before:
            for key in order:
                self._parts[key] = [self._prepared.pop(key).block]
            return
        self._to_split.extend(self._splits())

    def start(self) -> Work:
        calls, exchange = self._calls, self._ready
        if self._incoming:
            job = self._incoming.popleft()
            block = job[2].block
            return Work(
                lambda: calls.stream(remote_work.prepare, None, exchange, block), self._job(job), purpose=PREPARE
            )
        if self._to_split:
            split, count = self._to_split.popleft(), self._partitions
            blocks = [self._prepared[split.side, number].block for number in split.numbers]
            shape = remote_work.Shape(count, self._together)
            return Work(
                lambda: calls.parts(remote_work.split, shape.groups + 1, exchange, split.first_row, shape, *blocks),
                self._job(split),
                purpose=SPLIT,
            )
        partition = self._to_merge.popleft()
        parts = [self._parts[key][partition // self._together] for key in sorted(self._parts)]
        return Work(
            lambda: calls.stream(remote_work.merge, None, exchange, partition, calls.most_bytes, *parts),
            self._job(partition),
            purpose=MERGE,
        )

    def sampled(self, work: Work, sample: Any) -> None:
        """The sample of a block that was prepared: a reference."""
        _, number, _ = self._jobs[work.sequence]
        self._samples[number] = sample

    def work_ended(self, work: Work, result: list[Any]) -> None:
        if work.purpose == MERGE:
            group = self._jobs[work.sequence] // self._together
            for parts in self._parts.values():
                parts[group] = None
        super().work_ended(work, result)


class JoinStage(_Barrier):
    """A join: both inputs are split by their keys."""

    def __init__(self, exchange: JoinExchange, calls: Calls, partition_bytes: int) -> None:
        super().__init__(exchange.name, 2, calls, partition_bytes)
        self._exchange = exchange

    def _needs_preparing(self, side: int) -> bool:
        return False

    def _asked_partitions(self) -> int | None:
        return self._exchange.partitions

    def _plan_split(self) -> None:
        if self._partitions == 1:
            for key in sorted(self._prepared):
                self._parts[key] = [self._prepared.pop(key).block]
            return
        self._to_split.extend(self._splits())

    def start(self) -> Work:
        calls, exchange = self._calls, self._exchange
        shape = remote_work.Shape(self._partitions, self._together)
        if self._to_split:
            split = self._to_split.popleft()
            blocks = [self._prepared[split.side, number].block for number in split.numbers]
            return Work(
                lambda: calls.parts(remote_work.split_side, shape.groups + 1, exchange, split.side, shape, *blocks),
                self._job(split),
                purpose=SPLIT,
            )
        partition = self._to_merge.popleft()
        keys = sorted(self._parts)
        parts = [self._parts[key][partition // self._together] for key in keys]
        left = sum(side == 0 for side, _ in keys)
        return Work(
            lambda: calls.stream(remote_work.merge_sides, None, exchange, left, calls.most_bytes, *parts),
            self._job(partition),
            purpose=MERGE,
        )
