"""Order within one table. Polars computes the order of the keys (it sorts several times faster than Arrow);
rows are taken by Arrow, so that columns of any type go along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.kernels.numbers import array_of_numbers, numbers_of


def sort_order(table: pa.Table, keys: Sequence[str], descending: Sequence[bool]) -> pa.Array:
    """Returns the positions of rows in the order of keys: stable, nulls last, NaN after all numbers."""
    if len(keys) == 1:
        numbers = plain_numbers(table.column(keys[0]))
        if numbers is not None:
            return array_of_numbers(order_of_numbers(_reversed(numbers) if descending[0] else numbers))
    import polars as pl

    frame = pl.from_arrow(table.select(list(keys)).combine_chunks(), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    by: list[Any] = []
    directions: list[bool] = []
    for key, down in zip(keys, descending, strict=True):
        column = pl.col(key)
        if frame.schema[key].is_float():
            # NaN comes after all numbers in both directions.
            by.append(column.is_nan())
            directions.append(False)
        by.append(column)
        directions.append(down)
    order = frame.select(
        pl.int_range(pl.len(), dtype=pl.UInt64).sort_by(by, descending=directions, nulls_last=True, maintain_order=True)
    )
    return order.to_series().to_arrow()


def order_of_numbers(numbers: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Returns the positions of numbers (no NaN among them) in their order, equal ones in the order in which they stand.

    Numpy's vectorised sort is several times faster than any stable one, so equal numbers are put in order afterwards.
    """
    order = np.argsort(numbers)
    ordered = numbers[order]
    differs = ordered[1:] != ordered[:-1]
    if differs.all():
        return order
    ranks = np.zeros(len(numbers), dtype=np.int64)
    np.cumsum(differs, out=ranks[1:])
    places = ranks * len(numbers) + order
    places.sort()
    return places % len(numbers)


def plain_numbers(column: pa.ChunkedArray) -> npt.NDArray[Any] | None:
    """Returns the values of a column of numbers or times without nulls and NaN; None for any other."""
    kind = column.type
    if column.null_count or not (
        pa.types.is_integer(kind)
        or pa.types.is_float32(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_temporal(kind)
    ):
        return None
    if pa.types.is_temporal(kind):
        if kind.bit_width not in (32, 64):
            return None
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    numbers = numbers_of(column)
    return None if numbers.dtype.kind == "f" and np.isnan(numbers).any() else numbers


def _reversed(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers that stand in the opposite order."""
    return -numbers if numbers.dtype.kind == "f" else ~numbers


def sort(table: pa.Table, keys: Sequence[str], descending: Sequence[bool]) -> pa.Table:
    """Returns the rows in the order of keys: stable, nulls last, NaN after all numbers."""
    return table if table.num_rows < 2 else table.take(sort_order(table, keys, descending))


def merge_sorted(tables: Sequence[pa.Table], keys: Sequence[str], descending: Sequence[bool]) -> pa.Table:
    """Returns the rows of sorted tables in order; rows of equal keys in the order of the tables."""
    return tables[0] if len(tables) == 1 else sort(concat(tables), keys, descending)


def sample_boundaries(
    samples: Sequence[pa.Table], keys: Sequence[str], descending: Sequence[bool], partitions: int
) -> list[tuple[Any, ...]]:
    """Returns keys where sorted data is cut, so that partitions are of like size by the samples."""
    ordered = sort(concat(list(samples)), keys, descending).select(list(keys))
    cuts = [ordered.num_rows * part // partitions for part in range(1, partitions)]
    chosen = ordered.take(array_of_numbers(np.array(cuts, dtype=np.int64))).to_pylist()
    return list(dict.fromkeys(tuple(row[key] for key in keys) for row in chosen))


def group_slices(table: pa.Table, keys: Sequence[str]) -> tuple[pa.Table, list[tuple[int, int]]]:
    """Returns the rows in the order of keys, and where each group begins and how long it is."""
    ordered = sort(table, keys, [False] * len(keys))
    changes = np.zeros(ordered.num_rows, dtype=bool)
    changes[:1] = True
    for key in keys:
        codes = np.asarray(ordered.column(key).combine_chunks().dictionary_encode("encode").indices)
        changes[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(changes)
    ends = np.append(starts[1:], ordered.num_rows) if len(starts) else starts
    return ordered, [(int(start), int(end - start)) for start, end in zip(starts, ends, strict=True)]
