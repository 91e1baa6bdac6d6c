"""Exchanges that bring rows of equal keys together: aggregation, functions of groups, joins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from shoal.data._internal.aggregation.states import combine, finalize, partial
from shoal.data._internal.exchange.exchange import Exchange, joined
from shoal.data._internal.kernels import group_slices, join, partition_by_hash
from shoal.data._internal.plan.operators import Aggregate, Join
from shoal.data._internal.plan.schemas import check_columns
from shoal.data.aggregate import AggregateFn

GroupFunction = Callable[[pa.Table], Iterator[pa.Table]]


class AggregateExchange(Exchange):
    """One row a group: each block is aggregated by itself, then the states of equal keys are combined."""

    name = "Aggregate"
    takes_much_to_merge = True

    def __init__(self, operator: Aggregate) -> None:
        self._keys = list(operator.keys)
        self._aggregations: list[AggregateFn] = list(operator.aggregations)
        self.partitions = operator.partitions if operator.keys else 1

    def before(self, table: pa.Table) -> pa.Table:
        if table.num_columns == 0:
            return table
        check_columns(self._keys, table.column_names, "groupby")
        return partial(table, self._keys, self._aggregations)

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        if partitions == 1 or table.num_columns == 0:
            return [table, *([table.slice(0, 0)] * (partitions - 1))]
        return partition_by_hash(table, self._keys, partitions)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        tables = [part for part in parts if part.num_columns > 0]
        if tables:
            yield finalize(combine(tables, self._keys, self._aggregations), self._keys, self._aggregations)


class GroupExchange(Exchange):
    """A function of each group's rows; groups come in the order of their keys."""

    name = "MapGroups"

    def __init__(self, keys: tuple[str, ...], function: GroupFunction, partitions: int | None) -> None:
        self._keys = list(keys)
        self._function = function
        self.partitions = partitions if keys else 1

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        if table.num_columns == 0:
            return [table] * partitions
        check_columns(self._keys, table.column_names, "groupby")
        return [table] if partitions == 1 else partition_by_hash(table, self._keys, partitions)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        table = joined(parts)
        if table is None or table.num_rows == 0:
            return
        if not self._keys:
            yield from self._function(table)
            return
        ordered, slices = group_slices(table, self._keys)
        for offset, length in slices:
            yield from self._function(ordered.slice(offset, length))


class JoinExchange(Exchange):
    """Both inputs are split by their keys, and joined partition by partition. The left input's parts come first."""

    name = "Join"
    takes_much_to_merge = True

    def __init__(self, operator: Join) -> None:
        self._how = operator.how
        self._on = (list(operator.left_on), list(operator.right_on))
        self._suffixes = (operator.left_suffix, operator.right_suffix)
        self.partitions = operator.partitions

    def split_side(self, table: pa.Table, side: int, partitions: int) -> Iterable[pa.Table]:
        """Returns the parts of a block of the left (0) or right (1) input."""
        if table.num_columns == 0:
            return [table] * partitions
        check_columns(self._on[side], table.column_names, "join")
        return [table] if partitions == 1 else partition_by_hash(table, self._on[side], partitions)

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        return self.split_side(table, 0, partitions)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        raise NotImplementedError("a join has two inputs: see merge_sides")

    def merge_sides(self, left: Iterable[pa.Table], right: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yields the joined rows of one partition."""
        sides = [joined(left), joined(right)]
        tables: list[pa.Table] = []
        for table, keys, other in zip(sides, self._on, reversed(sides), strict=True):
            if table is None or table.num_columns == 0:
                table = _without_rows(keys, other)
            else:
                check_columns(keys, table.column_names, "join")
            tables.append(table)
        if all(table.num_columns for table in tables):
            yield join(tables[0], tables[1], self._how, *self._on, *self._suffixes)


def _without_rows(keys: list[str], other: pa.Table | None) -> pa.Table:
    """Stands for an input that has no block at all: nothing but its key columns is known."""
    fields: list[Any] = [(key, pa.null()) for key in keys]
    return pa.schema(fields).empty_table() if other is not None else pa.table({})
