"""Sums, counts and extremes of groups. Where groups are few, by Arrow's own engine; where they are many and keys are numbers, by putting
rows in the order of keys; polars does all others.

Polars keeps a list of rows for each group, and what it has freed: of 1.4 M rows in as many groups 220 MiB, where putting them in order
takes 70.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.kernels.numbers import array_of_numbers, numbers_of
from shoal.data._internal.kernels.ordering import plain_numbers, sort

_LOOK_AT = 20_000
"""Rows by which the number of groups is guessed."""
_FEW = 0.5
"""Groups a row, up to which they are few."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """One column of a result.

    Args:
        name: its name.
        function: 'sum', 'min', 'max', 'count' (of values), 'nulls', or 'rows'.
        column: of what; None for rows.
    """

    name: str
    function: str
    column: str | None = None

    @property
    def of_results(self) -> Reduction:
        """What makes one result of several: counts are added up."""
        return Reduction(self.name, self.function if self.function in ("min", "max") else "sum", self.name)


def reduced(table: pa.Table, keys: Sequence[str], reductions: Sequence[Reduction]) -> pa.Table | None:
    """Returns one row a group, in the order of keys: its keys, and a column for each reduction.

    None where polars is better at it, or its result would mean something else for these types. The extremes of no values are any value.
    """
    if not keys or not table.num_rows or not all(_is_exact(table.schema, reduction) for reduction in reductions):
        return None
    if _are_few(table, keys):
        return sort(_hashed(table, keys, reductions), keys, [False] * len(keys))
    numbers = plain_numbers(table.column(keys[0])) if len(keys) == 1 else None
    return None if numbers is None else _in_order(table, keys[0], numbers, reductions)


def _is_exact(schema: pa.Schema, reduction: Reduction) -> bool:
    """Whether it means the same by any kernel: extremes of floats differ in NaN, sums of smaller numbers in their type."""
    if reduction.function not in ("sum", "min", "max"):
        return True
    kind = schema.field(reduction.column).type
    is_whole = pa.types.is_int64(kind) or pa.types.is_uint64(kind)
    return is_whole or (reduction.function == "sum" and (pa.types.is_float64(kind) or pa.types.is_uint32(kind)))


def _are_few(table: pa.Table, keys: Sequence[str]) -> bool:
    for key in keys:
        kind = table.schema.field(key).type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_date(kind)):
            return False
    head = table.select(list(keys)).slice(0, _LOOK_AT)
    if len(keys) == 1:
        groups = pc.count_distinct(head.column(0), mode="all").as_py()
    else:
        groups = head.group_by(list(keys)).aggregate([]).num_rows
    return bool(groups <= _FEW * head.num_rows)


def _hashed(table: pa.Table, keys: Sequence[str], reductions: Sequence[Reduction]) -> pa.Table:
    """The groups in any order."""
    wanted: list[tuple[str | list[str], str, pc.FunctionOptions | None]] = []
    for reduction in reductions:
        column = reduction.column
        if reduction.function == "rows" or column is None:
            wanted.append(([], "count_all", None))
        elif reduction.function in ("count", "nulls"):
            mode = "only_valid" if reduction.function == "count" else "only_null"
            wanted.append((column, "count", pc.CountOptions(mode=mode)))
        else:
            wanted.append((column, reduction.function, pc.ScalarAggregateOptions(min_count=0)))
    made = table.group_by(list(keys)).aggregate(wanted)
    columns = made.columns
    # Keys stand first or last, by Arrow's version; results stand in the order in which they were asked for.
    first = 0 if made.column_names[: len(keys)] == list(keys) else len(reductions)
    results = columns[len(keys) :] if first == 0 else columns[: len(reductions)]
    named = {key: made.column(key) for key in keys}
    named |= {reduction.name: column for reduction, column in zip(reductions, results, strict=True)}
    return pa.table(named)


def _in_order(table: pa.Table, key: str, numbers: npt.NDArray[Any], reductions: Sequence[Reduction]) -> pa.Table:
    order = np.argsort(numbers)
    ordered = numbers[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(starts, append=len(order))
    del ordered, numbers
    named: dict[str, Any] = {key: table.column(key).take(array_of_numbers(order[starts]))}
    for reduction in reductions:
        named[reduction.name] = array_of_numbers(_of_runs(table, reduction, order, starts, lengths))
    return pa.table(named)


def _of_runs(
    table: pa.Table,
    reduction: Reduction,
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> npt.NDArray[Any]:
    """Returns a reduction of each run of rows in the order of keys."""
    if reduction.function == "rows" or reduction.column is None:
        return lengths
    column = table.column(reduction.column)
    if reduction.function in ("count", "nulls"):
        nulls = _nulls_of_runs(column, order, starts)
        # A block has fewer rows than this holds, and there are as many counts as groups.
        return (lengths - nulls if reduction.function == "count" else nulls).astype(np.uint32)
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(_neutral(reduction.function, column.type), column.type))
    values = numbers_of(column)[order]
    if reduction.function == "sum":
        return np.add.reduceat(values, starts, dtype=np.int64 if values.dtype == np.uint32 else values.dtype)
    return (np.minimum if reduction.function == "min" else np.maximum).reduceat(values, starts)


def _nulls_of_runs(
    column: pa.ChunkedArray, order: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    if not column.null_count:
        return np.zeros(len(starts), dtype=np.int64)
    is_null = np.asarray(pc.is_null(column))[order]
    return np.add.reduceat(is_null, starts, dtype=np.int64)


def _neutral(function: str, kind: pa.DataType) -> int:
    """The value that changes no result."""
    if function == "sum":
        return 0
    limits = np.iinfo("u8" if pa.types.is_unsigned_integer(kind) else "i8")
    return int(limits.max if function == "min" else limits.min)
