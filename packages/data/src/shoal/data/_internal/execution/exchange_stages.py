"""Stages of exchanges: blocks are prepared and split, and partitions merged from the parts of all.

Where the data fits into memory, all blocks are counted first, and partitions are cut exactly. Where it does not, the first blocks tell how
much will come and where to cut: blocks are then split as they come, and only their parts are held, in memory or on disk. A partition that
came out too large (sorted input, say) is split once more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

import shoal
from shoal.data._internal.exchange.exchange import Exchange
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.execution import remote_work
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.input_estimate import InputEstimate
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.execution.stage import OrderedOutput, Stage, Work

PREPARE, SPLIT, MERGE = "prepare", "split", "merge"

_PARTITIONS_A_CPU = 2
_GOOD_PART = 256 << 10
"""Bytes of a part that is large enough for the object store."""
_WORTH_A_TASK = 4 << 20
"""Bytes of a partition that is worth a task of its own."""
_PARTITION_OF_A_SPLIT = 0.75
"""How large partitions may be, of what one task splits. Merging holds one twice, before and after; splitting holds blocks and one part. A
whole split is as much as fits; the less it is, the more of the work is cutting and storing."""
_TOO_LARGE = 2
"""A partition is split once more if it is so many times what it may be."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block to split. `unseen`: it has not been prepared."""

    number: int
    bundle: Bundle
    unseen: bool


@dataclass(frozen=True, slots=True)
class _Split:
    """Blocks that one task splits.

    Args:
        side: the input.
        blocks: they follow one another.
        first_row: position of the first one's first row in the input.
    """

    side: int
    blocks: tuple[_Block, ...]
    first_row: int

    @property
    def key(self) -> tuple[int, int]:
        return self.side, self.blocks[0].number

    @property
    def inputs(self) -> tuple[Bundle, ...]:
        return tuple(block.bundle for block in self.blocks)


@dataclass(frozen=True, slots=True)
class _SplitAgain:
    """Parts of partitions that travel together, of which one came out too large; one task splits them.

    Args:
        group: the first partition's number.
        first: the first block's place in the order of all.
        parts: one of each block.
        cuts: what is made of each partition.
    """

    group: int
    first: int
    parts: tuple[Any, ...]
    cuts: tuple[remote_work.Cut, ...]


@dataclass(frozen=True, slots=True)
class _Merge:
    """Partitions that one task merges.

    Args:
        sequence: its place in the output.
        exchange: what merges.
        first: the first partition's number.
        parts: of all blocks, in their order; None where they are split once more, and known when that has been done.
        group: the first partition of those that are split once more.
        piece: the place among what comes of that.
    """

    sequence: int
    exchange: Any
    first: int
    parts: tuple[Any, ...] | None
    group: int = 0
    piece: int = 0


class _Side:
    """Blocks of one input, which are gathered in order until they are enough for a split."""

    def __init__(self, number: int, estimate: InputEstimate) -> None:
        self.number = number
        self.count = 0
        self.estimate = estimate
        self.estimated = 0
        """Blocks that the estimate has seen."""
        self._arrived: dict[int, _Block] = {}
        self._next = 0
        self._row = self._first_row = self._size = 0
        self._gathered: list[_Block] = []

    def arrive(self, block: _Block) -> None:
        self._arrived[block.number] = block

    def estimate_more(self, prepared: dict[tuple[int, int], Bundle]) -> None:
        """Shows the estimate what has been prepared, in order."""
        while (bundle := prepared.get((self.number, self.estimated))) is not None:
            self.estimated += 1
            self.estimate.add(bundle)

    def gather(self, enough: int, growth: float) -> Iterator[_Split]:
        """Yields what can be split now: blocks of `enough` bytes together, as they come in order.

        Args:
            enough: bytes of blocks, and of what preparing makes of them.
            growth: bytes that preparing makes of each byte of a block.
        """
        while (block := self._arrived.pop(self._next, None)) is not None:
            size = int(block.bundle.size * (max(1.0, growth) if block.unseen else 1.0))
            if self._gathered and self._size + size > enough:
                yield self._take()
            self._next += 1
            self._gathered.append(block)
            self._size += size
            self._row += block.bundle.rows

    def rest(self) -> Iterator[_Split]:
        if self._gathered:
            yield self._take()

    def _take(self) -> _Split:
        split = _Split(self.number, tuple(self._gathered), self._first_row)
        self._gathered, self._size, self._first_row = [], 0, self._row
        return split


class _ExchangeStage(Stage):
    """Its phases: blocks are held and prepared until it is planned; then they are split; when all are, partitions are merged."""

    def __init__(self, exchange: Exchange, sides: int, calls: Calls, partition_bytes: int) -> None:
        super().__init__(exchange.name, sides)
        self._calls = calls
        self._takes_much_to_merge = exchange.takes_much_to_merge
        self._partition_bytes = max(1, partition_bytes)
        self._sides = [_Side(number, InputEstimate(calls.split_bytes)) for number in range(sides)]
        self._incoming: deque[tuple[int, int, Bundle]] = deque()
        """Blocks to prepare: side, number, block."""
        self._prepared: dict[tuple[int, int], Bundle] = {}
        self._bytes_to_prepare = self._bytes_prepared = 0
        """Of the blocks that have been prepared: before, and after it."""
        self._planned = False
        self._early = False
        """Planned while blocks are still to come."""
        self._partitions = 0
        self._together = 1
        """So many partitions travel together, where they are small: many small objects cost more than a few large ones."""
        self._split_bytes = 0
        self._to_split: deque[_Split | _SplitAgain] = deque()
        self._parts: dict[tuple[int, int], list[Any]] = {}
        self._sizes: list[int] = []
        """Bytes of each partition so far."""
        self._merging = False
        self._to_merge: deque[_Merge] = deque()
        self._merges = 0
        """How many there are in all."""
        self._output = OrderedOutput()
        self._jobs: dict[int, Any] = {}
        self._last_job = 0

    # --- what an exchange is ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _asked_partitions(self) -> int | None:
        """As the user said."""

    @abstractmethod
    def _needs_preparing(self) -> bool:
        """Whether blocks are worked on before they are split."""

    @abstractmethod
    def _can_plan_early(self) -> bool:
        """Whether blocks may be split before all are counted."""

    @abstractmethod
    def _plan(self) -> None:
        """`_partitions` and `_early` are known now."""

    @abstractmethod
    def _split_work(self, split: _Split) -> Any:
        """Submits it."""

    @abstractmethod
    def _plan_merges(self) -> None:
        """All is split: fills `_to_merge`, and `_to_split` where something has to be split once more."""

    @abstractmethod
    def _merge_work(self, merge: _Merge) -> Any:
        """Submits it."""

    # --- blocks come in -----------------------------------------------------------------------------------------------------

    def take(self, bundle: Bundle, side: int) -> None:
        number = self._sides[side].count
        self._sides[side].count += 1
        if self._planned:
            self._sides[side].arrive(_Block(number, bundle, unseen=True))
        elif self._needs_preparing():
            self._incoming.append((side, number, bundle))
        else:
            self._hold(side, number, bundle)
        self.advance()

    def side_ended(self, side: int) -> None:
        if not self._needs_preparing():
            self._sides[side].estimate.ended()
        super().side_ended(side)

    def _hold(self, side: int, number: int, bundle: Bundle) -> None:
        if self._planned:
            self._sides[side].arrive(_Block(number, bundle, unseen=False))
        else:
            self._prepared[side, number] = bundle
            self._sides[side].estimate_more(self._prepared)

    # --- phases -------------------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        if not self._planned:
            all_prepared = self.inputs_ended and not self._incoming and not self.running
            if all_prepared and not self._prepared:
                self.end()
                return
            if all_prepared or self._may_plan_early():
                self._begin(early=not all_prepared)
        if not self._planned:
            return
        for side in self._sides:
            growth = self._bytes_prepared / self._bytes_to_prepare if self._bytes_to_prepare else 1.0
            self._to_split.extend(side.gather(self._split_bytes, growth))
        if not self.inputs_ended or self._incoming or self._preparing():
            return
        for side in self._sides:
            self._to_split.extend(side.rest())
        if self._to_split or self.running:
            return
        if not self._merging:
            self._merging = True
            self._plan_merges()
            self._merges = len(self._to_merge)
        if not self._to_merge and not self._to_split:
            self.end()

    def _preparing(self) -> bool:
        return any(isinstance(job, tuple) for job in self._jobs.values())

    def _may_plan_early(self) -> bool:
        if not self._can_plan_early() or self._asked_partitions() == 1:
            return False
        totals = [side.estimate.total for side in self._sides]
        return all(total is not None for total in totals) and sum(filter(None, totals)) > self._calls.early_bytes

    def _begin(self, early: bool) -> None:
        held = sum(bundle.size for bundle in self._prepared.values())
        total = sum(side.estimate.total or 0 for side in self._sides) if early else held
        asked = self._asked_partitions()
        self._planned, self._early = True, early
        if early and not self._takes_much_to_merge:
            # Fewer and larger parts: cutting and storing them is most of the work.
            self._partition_bytes = max(self._partition_bytes, int(self._calls.split_bytes * _PARTITION_OF_A_SPLIT))
        self._partitions = asked if asked is not None else self._partitions_for(total)
        self._sizes = [0] * self._partitions
        self._size_splits()
        self._plan()
        for (side, number), bundle in self._prepared.items():
            self._sides[side].arrive(_Block(number, bundle, unseen=False))
        self._prepared.clear()

    def _partitions_for(self, total: int) -> int:
        """So many that each fits into memory, and that there is work for all processors where it is worth a task."""
        wanted = min(int(self._calls.cpus_there * _PARTITIONS_A_CPU), total // _WORTH_A_TASK)
        return max(1, wanted, -(-total // self._partition_bytes))

    def _size_splits(self) -> None:
        """Blocks are split together where their parts would be tiny; where they still are, several partitions travel together."""
        self._split_bytes = min(self._calls.split_bytes, self._partitions * _GOOD_PART)
        largest = max(bundle.size for bundle in self._prepared.values())
        part = max(1, max(self._split_bytes, largest) // self._partitions)
        for_all_cpus = max(1, self._partitions // max(1, int(self._calls.cpus_there * _PARTITIONS_A_CPU)))
        self._together = min(for_all_cpus, -(-_GOOD_PART // part))

    def _groups_to_merge(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Yields the first partition of each group, and its parts in the order of the blocks."""
        keys = sorted(self._parts)
        for first in range(0, self._partitions, self._together):
            yield first, tuple(self._parts[key][first // self._together] for key in keys)

    # --- tasks --------------------------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        return self._output.held_bytes

    def waiting(self) -> int:
        return len(self._incoming) + len(self._to_split) + (0 if self._splitting() else len(self._to_merge))

    def _splitting(self) -> bool:
        return bool(self._to_split) or any(isinstance(job, _Split | _SplitAgain) for job in self._jobs.values())

    def start(self) -> Work:
        if self._incoming:
            job = self._incoming.popleft()
            return Work(lambda: self._prepare_work(job[2]), self._job(job), purpose=PREPARE)
        if self._to_split:
            split = self._to_split.popleft()
            if isinstance(split, _SplitAgain):
                return Work(lambda: self._split_again_work(split), self._job(split), purpose=SPLIT)
            return Work(lambda: self._split_work(split), self._job(split), inputs=split.inputs, purpose=SPLIT)
        merge = self._to_merge.popleft()
        progress = (merge.sequence + 1) / self._merges
        return Work(lambda: self._merge_work(merge), self._job(merge), purpose=MERGE, progress=progress)

    def _prepare_work(self, bundle: Bundle) -> Any:
        raise AssertionError(f"{self.name} prepares nothing")

    def _split_again_work(self, split: _SplitAgain) -> Any:
        raise AssertionError(f"{self.name} splits once")

    def _job(self, job: Any) -> int:
        self._last_job += 1
        self._jobs[self._last_job] = job
        return self._last_job

    def made(self, work: Work, bundle: Bundle) -> None:
        job = self._jobs[work.sequence]
        if work.purpose == PREPARE:
            side, number, before = job
            self._bytes_to_prepare += before.size
            self._bytes_prepared += bundle.size
            self._hold(side, number, replace(bundle, progress=before.progress))
            return
        for ready in self._output.made(job.sequence, bundle):
            self.emit(ready)

    def work_ended(self, work: Work, result: list[Any]) -> None:
        job = self._jobs.pop(work.sequence)
        if isinstance(job, _Split | _SplitAgain):
            *parts, info = result
            self._split_ended(job, parts, info)
        elif isinstance(job, _Merge):
            for ready in self._output.ended(job.sequence):
                self.emit(ready)
        self.advance()

    def _split_ended(self, split: _Split | _SplitAgain, parts: list[Any], info: remote_work.SplitInfo) -> None:
        assert isinstance(split, _Split)
        self._parts[split.key] = parts
        for partition, size in enumerate(info.sizes):
            self._sizes[partition] += size


class ExchangeStage(_ExchangeStage):
    """An exchange with one input."""

    def __init__(self, exchange: Exchange, calls: Calls, partition_bytes: int) -> None:
        super().__init__(exchange, 1, calls, partition_bytes)
        self._exchange = exchange
        self._ready: Exchange = exchange
        self._sample_refs: dict[int, Any] = {}
        self._samples: list[pa.Table] = []
        """Of blocks that were split early."""
        self._pieces: dict[int, dict[int, list[Any]]] = {}
        """Parts of partitions that were split once more: partition, first block, pieces."""

    def _asked_partitions(self) -> int | None:
        return self._exchange.partitions

    def _needs_preparing(self) -> bool:
        kind = type(self._exchange)
        return kind.before is not Exchange.before or kind.sample is not Exchange.sample

    def _can_plan_early(self) -> bool:
        return not self._exchange.needs_total

    def sampled(self, work: Work, sample: Any) -> None:
        """The sample of a block that was prepared: a reference."""
        _, number, _ = self._jobs[work.sequence]
        self._sample_refs[number] = sample

    def _plan(self) -> None:
        estimated = self._sides[0].estimate.blocks if self._early else len(self._prepared)
        refs = [self._sample_refs[number] for number in range(estimated) if number in self._sample_refs]
        tables: list[pa.Table] = [table for table in shoal.get(refs) if table is not None]
        self._sample_refs.clear()
        if self._early:
            self._ready = self._exchange.early(tables, self._partitions)
            return
        total = sum(bundle.rows for bundle in self._prepared.values())
        self._ready = self._exchange.prepared(tables, total, self._partitions)
        if self._partitions == 1 and not self._exchange.needs_rows_before:
            for key in sorted(self._prepared):
                self._parts[key] = [self._prepared[key].block]
            self._prepared.clear()

    def _prepare_work(self, bundle: Bundle) -> Any:
        return self._calls.stream(remote_work.prepare, None, self._exchange, bundle.block)

    def _split_work(self, split: _Split) -> Any:
        shape = remote_work.Shape(self._partitions, self._together)
        blocks = [block.bundle.block for block in split.blocks]
        count = shape.groups + 1
        if not self._early:
            return self._calls.parts(remote_work.split, count, self._ready, split.first_row, shape, *blocks)
        unseen = [block.unseen for block in split.blocks]
        return self._calls.parts(remote_work.split_early, count, self._ready, split.first_row, shape, unseen, *blocks)

    def _split_again_work(self, split: _SplitAgain) -> Any:
        pieces = sum(cut.pieces for cut in split.cuts)
        return self._calls.parts(remote_work.split_again, pieces + 1, split.cuts, *split.parts)

    def _split_ended(self, split: _Split | _SplitAgain, parts: list[Any], info: remote_work.SplitInfo) -> None:
        if isinstance(split, _SplitAgain):
            self._pieces.setdefault(split.group, {})[split.first] = parts
            return
        self._samples.extend(info.samples)
        super()._split_ended(split, parts, info)

    def _plan_merges(self) -> None:
        """Partitions that are too large are split once more; what waits for that is planned when it is there."""
        for first, parts in self._groups_to_merge():
            cuts = self._cuts(first) if self._early else ()
            if all(cut.exchange is None for cut in cuts):
                self._to_merge.append(_Merge(len(self._to_merge), self._ready, first, parts))
                continue
            self._to_split.extend(self._splits_again(first, parts, cuts))
            piece = 0
            for partition, cut in enumerate(cuts, first):
                for number in range(cut.pieces):
                    exchange, number = (cut.exchange, number) if cut.exchange is not None else (self._ready, partition)
                    self._to_merge.append(_Merge(len(self._to_merge), exchange, number, None, first, piece))
                    piece += 1
        self._parts.clear()

    def _cuts(self, group: int) -> tuple[remote_work.Cut, ...]:
        """What has to be made of the partitions that travel together from `group` on."""
        cuts = []
        for partition in range(group, min(group + self._together, self._partitions)):
            size = self._sizes[partition]
            pieces = -(-size // self._partition_bytes) if size > _TOO_LARGE * self._partition_bytes else 1
            narrowed = self._ready.narrowed(partition, self._samples, pieces) if pieces > 1 else None
            cuts.append(remote_work.Cut(narrowed, pieces if narrowed is not None else 1))
        return tuple(cuts)

    def _splits_again(
        self, group: int, parts: tuple[Any, ...], cuts: tuple[remote_work.Cut, ...]
    ) -> Iterator[_SplitAgain]:
        size = sum(self._sizes[group : group + self._together])
        at_a_time = max(1, len(parts) * self._calls.split_bytes // max(1, size))
        for first in range(0, len(parts), at_a_time):
            yield _SplitAgain(group, first, parts[first : first + at_a_time], cuts)

    def _merge_work(self, merge: _Merge) -> Any:
        parts = merge.parts
        if parts is None:
            of_blocks = self._pieces[merge.group]
            parts = tuple(of_blocks[first][merge.piece] for first in sorted(of_blocks))
            for pieces in of_blocks.values():
                pieces[merge.piece] = None
        return self._calls.stream(remote_work.merge, None, merge.exchange, merge.first, self._calls.most_bytes, *parts)


class JoinStage(_ExchangeStage):
    """A join: both inputs are split by their keys."""

    def __init__(self, exchange: JoinExchange, calls: Calls, partition_bytes: int) -> None:
        super().__init__(exchange, 2, calls, partition_bytes)
        self._exchange = exchange
        self._left = 0
        """Parts of each partition that are the left input's."""

    def _asked_partitions(self) -> int | None:
        return self._exchange.partitions

    def _needs_preparing(self) -> bool:
        return False

    def _can_plan_early(self) -> bool:
        return True

    def _plan(self) -> None:
        if self._partitions == 1:
            for key in sorted(self._prepared):
                self._parts[key] = [self._prepared[key].block]
            self._prepared.clear()

    def _split_work(self, split: _Split) -> Any:
        shape = remote_work.Shape(self._partitions, self._together)
        blocks = [block.bundle.block for block in split.blocks]
        return self._calls.parts(remote_work.split_side, shape.groups + 1, self._exchange, split.side, shape, *blocks)

    def _plan_merges(self) -> None:
        self._left = sum(side == 0 for side, _ in self._parts)
        for first, parts in self._groups_to_merge():
            self._to_merge.append(_Merge(len(self._to_merge), self._exchange, first, parts))
        self._parts.clear()

    def _merge_work(self, merge: _Merge) -> Any:
        assert merge.parts is not None
        return self._calls.stream(
            remote_work.merge_sides, None, self._exchange, self._left, self._calls.most_bytes, *merge.parts
        )
