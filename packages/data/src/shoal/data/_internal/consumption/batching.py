"""Tables of any size to tables of one size, in order or from a buffer that is shuffled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.combine import concat, slice_rows


def rebatched(tables: Iterable[pa.Table], batch_size: int | None, drop_last: bool) -> Iterator[pa.Table]:
    """Yields the same rows in tables of `batch_size` rows.

    Args:
        tables: in order; those without rows are skipped.
        batch_size: rows; None for the tables as they are.
        drop_last: leave out the last one where it has less.
    """
    if batch_size is None:
        yield from (table for table in tables if table.num_rows)
        return
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        position = 0
        while rows + table.num_rows - position >= batch_size:
            needed = batch_size - rows
            piece = slice_rows(table, position, needed)
            yield concat([*waiting, piece]) if waiting else piece
            position += needed
            waiting, rows = [], 0
        if position < table.num_rows:
            waiting.append(table.slice(position))
            rows += table.num_rows - position
    if rows and not drop_last:
        yield concat(waiting) if len(waiting) > 1 else waiting[0]


def shuffled_batches(
    tables: Iterable[pa.Table], batch_size: int, drop_last: bool, buffer_rows: int, seed: int | None
) -> Iterator[pa.Table]:
    """Yields batches of rows drawn at random from a rolling buffer.

    Args:
        tables: in order.
        batch_size: rows of a batch.
        drop_last: leave out the last one where it has less.
        buffer_rows: the least number of rows that a batch is drawn from, while there are so many.
        seed: of the draws; None for chance.
    """
    generator = np.random.default_rng(seed)
    buffer: pa.Table | None = None
    incoming: list[pa.Table] = []
    rows = 0
    least = max(buffer_rows, batch_size)
    for table in tables:
        if table.num_rows == 0:
            continue
        incoming.append(table)
        rows += table.num_rows
        # Rows are mixed when the buffer has twice what it must have: each row is moved a bounded number of times.
        if rows < 2 * least:
            continue
        mixed = _mixed([*([buffer] if buffer is not None else []), *incoming], generator)
        incoming = []
        start = 0
        while rows - batch_size >= least:
            yield slice_rows(mixed, start, batch_size)
            start += batch_size
            rows -= batch_size
        buffer = mixed.slice(start)
    left = [*([buffer] if buffer is not None else []), *incoming]
    if left:
        yield from rebatched([_mixed(left, generator)], batch_size, drop_last)


def _mixed(tables: list[pa.Table], generator: np.random.Generator) -> pa.Table:
    table = concat(tables) if len(tables) > 1 else tables[0]
    return table.take(pa.array(generator.permutation(table.num_rows)))
