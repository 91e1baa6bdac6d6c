"""Rows of one table into parts: by ranges of keys, or by a hash of them that is the same in every process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.blocks.combine import concat, slice_rows
from shoal.data._internal.kernels.numbers import array_of_numbers, array_of_values, numbers_of
from shoal.data._internal.kernels.ordering import sort_order

_ODD = np.uint64(0x9E3779B97F4A7C15)


def partition_by_range(
    table: pa.Table, keys: Sequence[str], descending: Sequence[bool], boundaries: Sequence[tuple[Any, ...]]
) -> Iterator[pa.Table]:
    """Yields the rows before each boundary, and those from the last on. Rows of equal keys are never parted.

    The table may have any order; rows keep it.
    """
    edges = pa.table(
        {
            key: array_of_values([edge[n] for edge in boundaries], table.schema.field(key).type)
            for n, key in enumerate(keys)
        }
    )
    # Boundaries are sorted among the rows; equal rows come after theirs, because it stands before them and sorting is stable.
    both = concat([edges, table.select(list(keys))])
    order = numbers_of(pa.chunked_array([sort_order(both, keys, descending)]))
    is_edge = order < edges.num_rows
    owners = np.empty(both.num_rows, dtype=np.int64)
    owners[order] = np.cumsum(is_edge)
    return divided(table, owners[edges.num_rows :], len(boundaries) + 1)


def partition_by_hash(table: pa.Table, keys: Sequence[str], partitions: int) -> Iterator[pa.Table]:
    """Yields rows in parts: equal keys in the same part, in every process and run; nulls like a value of their own."""
    if partitions == 1:
        return iter([table])
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for key in keys:
        hashes = (hashes ^ _hashes(table.column(key))) * _ODD
    hashes ^= hashes >> np.uint64(32)
    return divided(table, (hashes % np.uint64(partitions)).astype(np.int64), partitions)


def _hashes(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """64 bits for each value; equal numbers of different types have the same."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        values = pc.cast(column, pa.int64(), safe=False)
        numbers = numbers_of(pc.fill_null(values, -1) if values.null_count else values)
        return np.bitwise_xor(_mixed(numbers.view(np.uint64)), _null_bits(column))
    if pa.types.is_floating(kind):
        floats = np.asarray(pc.fill_null(pc.cast(column, pa.float64()), 0.0)).astype(np.float64) + 0.0
        whole = np.isfinite(floats) & (np.abs(floats) < 2**53) & (floats == np.floor(floats))
        bits = np.where(whole, np.where(whole, floats, 0).astype(np.int64).view(np.uint64), floats.view(np.uint64))
        return np.bitwise_xor(_mixed(bits), _null_bits(column))
    return _hashes_of_values(column)


def _hashes_of_values(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Each different value is hashed once."""
    import hashlib

    encoded = column.combine_chunks().dictionary_encode()
    table = np.array(
        [
            int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little")
            for value in encoded.dictionary.to_pylist()
        ]
        + [0],
        dtype=np.uint64,
    )
    codes = np.asarray(pc.fill_null(encoded.indices, len(encoded.dictionary))).astype(np.int64)
    return table[codes]


def _null_bits(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    if column.null_count == 0:
        return np.zeros(1, dtype=np.uint64)
    return np.where(np.asarray(pc.is_null(column)), _ODD, np.uint64(0))


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finalizer (Steele et al., *Fast splittable pseudorandom number generators*, 2014)."""
    values = values.copy()
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def divided(table: pa.Table, owners: npt.NDArray[Any], parts: int) -> Iterator[pa.Table]:
    """Yields the rows of each owner, 0 to `parts` - 1, in their order. Only one part is copied at a time."""
    counts = np.bincount(owners.astype(np.int64), minlength=parts)
    ends = np.concatenate(([0], np.cumsum(counts)))
    if (owners[1:] >= owners[:-1]).all():
        for part in range(parts):
            yield slice_rows(table, int(ends[part]), int(counts[part]))
        return
    # Numpy sorts 16 bits by radix, ten times faster than more.
    order = np.argsort(owners.astype(np.uint16) if parts <= 1 << 16 else owners, kind="stable")
    if table.num_rows < 1 << 32:
        order = order.astype(np.uint32)
    # Many tables are divided side by side: each keeps four bytes a row.
    del owners
    # Taking rows of a chunked column puts its chunks together each time.
    whole = table.combine_chunks()
    for part in range(parts):
        yield whole.take(array_of_numbers(order[ends[part] : ends[part + 1]]))
