"""Steps that depend on where a row stands in its dataset: limit, sample, zip, order of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.combine import concat, slice_rows
from shoal.data._internal.exchange.randomness import numbers_at

_SAMPLE_STREAM = 2
_BLOCKS_STREAM = 3


def cut(tables: Iterable[pa.Table], count: int) -> Iterator[pa.Table]:
    """Yields the first rows. Takes no more tables than it needs; at least one, so that the columns are known."""
    left = count
    for table in tables:
        yield table if table.num_rows <= left else slice_rows(table, 0, left)
        left -= table.num_rows
        if left <= 0:
            return


def sample_of(table: pa.Table, fraction: float, seed: int, first_row: int) -> pa.Table:
    """Returns each row with a probability; `first_row` is the position of the table's first."""
    numbers = numbers_at(seed, _SAMPLE_STREAM, first_row, table.num_rows)
    return table.filter(pa.array(numbers.astype(np.float64) < fraction * 2.0**64))


def sampled(tables: Iterable[pa.Table], fraction: float, seed: int, first_row: int) -> Iterator[pa.Table]:
    """Yields samples of tables that follow one another."""
    for table in tables:
        yield sample_of(table, fraction, seed, first_row)
        first_row += table.num_rows


def block_order(count: int, seed: int) -> list[int]:
    """Returns the positions of blocks in a random order."""
    numbers = numbers_at(seed, _BLOCKS_STREAM, 0, count)
    return [int(position) for position in np.argsort(numbers, kind="stable")]


def zipped(inputs: list[list[pa.Table]]) -> Iterator[pa.Table]:
    """Yields rows of all inputs side by side, in the blocks of the first. Names that come again get `_1`, `_2`, …

    Raises:
        ValueError: the inputs have different numbers of rows.
    """
    rows = [sum(table.num_rows for table in tables) for tables in inputs]
    if len(set(rows)) > 1:
        raise ValueError(f"zip: the datasets have different numbers of rows: {', '.join(map(str, rows))}")
    others = [concat(tables) for tables in inputs[1:]]
    start = 0
    for table in inputs[0]:
        yield side_by_side([table, *(slice_rows(other, start, table.num_rows) for other in others)])
        start += table.num_rows


def side_by_side(tables: list[pa.Table]) -> pa.Table:
    """Returns the columns of tables of the same length as one table."""
    result = tables[0]
    for other in tables[1:]:
        for name, column in zip(other.column_names, other.columns, strict=True):
            new, number = name, 0
            while new in result.column_names:
                number += 1
                new = f"{name}_{number}"
            result = result.append_column(new, column)
    return result
