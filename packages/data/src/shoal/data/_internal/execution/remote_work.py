"""What runs in tasks and actors: reading, steps over blocks, the halves of exchanges, writing. Knows nothing of the executor.

Tasks that make blocks are generators of pairs: a table, then its BlockInfo. So blocks travel on while the task still works.
"""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.combine import compact, concat, size_bytes, slice_rows, split_bytes
from shoal.data._internal.exchange.exchange import Exchange, joined
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.execution.bundle import BlockInfo
from shoal.data._internal.execution.positional import sample_of, side_by_side
from shoal.data._internal.execution.retrying import read_again
from shoal.data._internal.execution.transforms import Step, annotate, run_steps
from shoal.data._internal.sources.source import ReadTask


@dataclass(frozen=True, slots=True)
class Shape:
    """Into what blocks are split.

    Args:
        partitions: how many parts each block has.
        together: so many parts that follow one another travel as one object.
    """

    partitions: int
    together: int

    @property
    def groups(self) -> int:
        """Objects that a split makes."""
        return -(-self.partitions // self.together)


Parts = list[pa.Table]
"""Parts of the same blocks for partitions that follow one another."""

Slice = tuple[int, int, int]
"""Which of the tables, first row, number of rows."""


def read(task: ReadTask, steps: Sequence[Step], most: int | None, retried_errors: Sequence[str]) -> Iterator[Any]:
    """Reads, and does the steps that follow; after errors that say one of these texts it reads again."""
    tables = read_again(task, retried_errors) if retried_errors else task()
    try:
        yield from _packed(run_steps(steps, tables), most, lambda: task.skipped_files)
    except BaseException as error:
        if task.metadata.input_files:
            annotate(error, f"while reading {', '.join(task.metadata.input_files[:3])}")
        raise


def transform(steps: Sequence[Step], most: int | None, number: int, *tables: pa.Table) -> Iterator[Any]:
    """Does steps over blocks; `number` is the first one's in its dataset."""
    try:
        yield from _packed(run_steps(steps, tables), most)
    except BaseException as error:
        annotate(error, f"in block {number} of the dataset")
        raise


def sample(fraction: float, seed: int, first_row: int, table: pa.Table) -> Iterator[Any]:
    """Returns a random sample of one block."""
    yield from _packed([sample_of(table, fraction, seed, first_row)], None)


def gather(slices: Sequence[Slice], *tables: pa.Table) -> Iterator[Any]:
    """Makes one block of slices of others."""
    parts = [slice_rows(tables[which], start, rows) for which, start, rows in slices]
    yield from _packed([concat(parts) if len(parts) > 1 else parts[0]], None)


def beside(groups: Sequence[Sequence[Slice]], *tables: pa.Table) -> Iterator[Any]:
    """Makes one block of columns side by side; each group is the rows of one dataset."""
    columns = []
    for slices in groups:
        parts = [slice_rows(tables[which], start, rows) for which, start, rows in slices]
        if not parts:
            continue  # an input without any block has no columns either
        columns.append(concat(parts) if len(parts) > 1 else parts[0])
    yield from _packed([side_by_side(columns)], None)


def prepare(exchange: Exchange, table: pa.Table) -> Iterator[Any]:
    """The part of an exchange that one block can do by itself; after block and info comes the sample."""
    started = time.perf_counter()
    table = exchange.before(table)
    yield table
    yield _info(table, started)
    yield exchange.sample(table)


@dataclass(frozen=True, slots=True)
class SplitInfo:
    """What a split says of the parts that it made.

    Args:
        sizes: bytes for each partition.
        samples: of the blocks, where the exchange takes samples and the blocks were split early.
    """

    sizes: tuple[int, ...]
    samples: tuple[pa.Table, ...] = ()


def split(exchange: Exchange, first_row: int, shape: Shape, *tables: pa.Table) -> Iterator[Parts | SplitInfo]:
    """Yields the parts of blocks that follow one another, group by group, and at last what is known of them."""
    parts = []
    for table in tables:
        parts.append(iter(exchange.split(table, first_row, shape.partitions)))
        first_row += table.num_rows
    yield SplitInfo((yield from _grouped(parts, shape)))


def split_early(
    exchange: Exchange, first_row: int, shape: Shape, unseen: Sequence[bool], *tables: pa.Table
) -> Iterator[Parts | SplitInfo]:
    """The same for blocks of which some have not been prepared."""
    parts, samples = [], []
    for table, is_unseen in zip(tables, unseen, strict=True):
        one = exchange.split_early if is_unseen else exchange.split
        parts.append(iter(one(table, first_row, shape.partitions)))
        sample = exchange.sample(table) if table.num_columns else None
        samples += [sample] if sample is not None else []
        first_row += table.num_rows
    yield SplitInfo((yield from _grouped(parts, shape)), tuple(samples))


@dataclass(frozen=True, slots=True)
class Cut:
    """What is made of one partition.

    Args:
        exchange: what splits it; None to leave it whole.
        pieces: into how many (1 where it is left whole).
    """

    exchange: Exchange | None
    pieces: int

    def of(self, table: pa.Table) -> Iterable[pa.Table]:
        return [table] if self.exchange is None else self.exchange.split(table, 0, self.pieces)


def split_again(cuts: Sequence[Cut], *parts: Parts) -> Iterator[Parts | SplitInfo]:
    """Splits partitions' parts of blocks that follow one another; all pieces travel by themselves."""
    shape = Shape(sum(cut.pieces for cut in cuts), 1)
    pieces = [
        itertools.chain.from_iterable(cut.of(table) for cut, table in zip(cuts, tables, strict=True))
        for tables in parts
    ]
    yield SplitInfo((yield from _grouped(pieces, shape)))


def split_side(exchange: JoinExchange, side: int, shape: Shape, *tables: pa.Table) -> Iterator[Parts | SplitInfo]:
    """Yields the parts of blocks of a join's left (0) or right (1) input, group by group, and at last what is known of them."""
    sides = [iter(exchange.split_side(table, side, shape.partitions)) for table in tables]
    yield SplitInfo((yield from _grouped(sides, shape)))


def _grouped(parts: Sequence[Iterator[pa.Table]], shape: Shape) -> Generator[Parts, None, tuple[int, ...]]:
    """Only one group is in memory at a time: the one before has gone to the object store. Returns the partitions' sizes."""
    group: Parts = []
    sizes: list[int] = []
    for same_partition in zip(*parts, strict=True):
        table = joined(same_partition)
        assert table is not None
        group.append(compact(table))
        sizes.append(size_bytes(table))
        if len(group) == shape.together:
            yield group
            group = []
    if group:
        yield group
    release_memory()
    return tuple(sizes)


def merge(exchange: Exchange, first: int, most: int | None, *parts: Parts | pa.Table) -> Iterator[Any]:
    """Makes the blocks of partitions that follow one another, from `first` on. A table is a block that was not split."""
    for number, same_partition in enumerate(_by_partition(parts)):
        yield from _packed(exchange.merge(same_partition, first + number), most)


def merge_sides(exchange: JoinExchange, left: int, most: int | None, *parts: Parts | pa.Table) -> Iterator[Any]:
    """Makes the blocks of partitions of a join; the first `left` parts are the left input's."""
    for same_partition in _by_partition(parts):
        yield from _packed(exchange.merge_sides(same_partition[:left], same_partition[left:]), most)


def _by_partition(parts: Sequence[Parts | pa.Table]) -> Iterator[tuple[pa.Table, ...]]:
    return zip(*([part] if isinstance(part, pa.Table) else part for part in parts), strict=True)


def write(sink: Any, write_id: str, index: int, retried_errors: Sequence[str], *tables: pa.Table) -> Iterator[Any]:
    """Hands blocks to a sink; after errors that say one of these texts once more."""
    from shoal.data._internal.execution.writing import written

    yield from _packed(read_again(lambda: written(sink, write_id, index, tables), retried_errors), None)


def _packed(
    tables: Iterable[pa.Table], most: int | None, skipped_files: Callable[[], list[str]] = list
) -> Iterator[Any]:
    """Yields blocks and infos: small tables joined, large ones cut, none larger than `most` bytes (where one row is not)."""
    started = time.perf_counter()
    waiting: list[pa.Table] = []
    size = 0
    empty: pa.Table | None = None
    made = False
    for table in tables:
        if table.num_rows == 0:
            empty = table if empty is None or table.num_columns else empty
            continue
        table_size = size_bytes(table)
        if waiting and most is not None and size + table_size > most:
            yield from _sent(waiting, most, started)
            started = time.perf_counter()
            made = True
            waiting, size = [], 0
        waiting.append(table)
        size += table_size
    if waiting:
        yield from _sent(waiting, most, started, skipped_files())
    elif not made and (empty is not None or skipped_files()):
        yield from _sent([empty if empty is not None else pa.table({})], None, started, skipped_files())
    waiting.clear()
    release_memory()


def release_memory() -> None:
    """Gives back what Arrow keeps for its next allocations: the next task may run in another process."""
    pa.default_memory_pool().release_unused()


def _sent(tables: list[pa.Table], most: int | None, started: float, skipped: Sequence[str] = ()) -> Iterator[Any]:
    table = tables[0] if len(tables) == 1 else concat(tables)
    pieces = split_bytes(table, most) if most is not None and size_bytes(table) > most else [table]
    for piece in pieces:
        block = compact(piece)
        yield block
        yield _info(block, started, skipped)
        started = time.perf_counter()
        skipped = ()


def _info(table: pa.Table, started: float, skipped: Sequence[str] = ()) -> BlockInfo:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = time.perf_counter() - started
    return BlockInfo(table.num_rows, size_bytes(table), table.schema, seconds, peak, tuple(skipped))
