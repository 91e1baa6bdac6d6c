"""Aggregations of all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal.data import aggregate
from shoal.data._internal.api.arguments import names
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.plan.operators import Aggregate
from shoal.data._internal.plan.schemas import known_columns
from shoal.data.aggregate import AggregateFn
from shoal.data.exceptions import InvalidArgumentError

On = str | Sequence[str] | None


class Aggregating(DatasetBase):
    """Part of `Dataset`."""

    def aggregate(self, *aggs: AggregateFn) -> dict[str, Any]:
        """Runs the dataset and aggregates all of its rows at once.

        Args:
            aggs: of `shoal.data.aggregate`.

        Returns:
            Names of the aggregations to their results.

        Example:
            >>> import shoal
            >>> from shoal.data.aggregate import Count, Max
            >>> shoal.data.range(3).aggregate(Count(), Max("id"))
            {'count()': 3, 'max(id)': 2}
        """
        if not aggs:
            raise InvalidArgumentError("aggregate: give at least one aggregation, such as Sum('x')")
        for item in aggs:
            if not isinstance(item, AggregateFn):
                raise InvalidArgumentError(f"aggregate: {item!r} is no aggregation; give one of shoal.data.aggregate")
        run = self._over(Aggregate(self._plan, (), tuple(aggs)))
        tables = [bundle.table() for bundle in run._bundles()]
        rows = [row for table in tables for row in to_rows(table)]
        return rows[0] if rows else {item.name: item.of_nothing() for item in aggs}

    def sum(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """Returns the sum of a column; a dict for several columns, or for all (None). None where there are no values."""
        return self._reduced(lambda column: aggregate.Sum(column, ignore_nulls), on)

    def min(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """Returns the least value of a column; a dict for several columns, or for all (None)."""
        return self._reduced(lambda column: aggregate.Min(column, ignore_nulls), on)

    def max(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """Returns the greatest value of a column; a dict for several columns, or for all (None)."""
        return self._reduced(lambda column: aggregate.Max(column, ignore_nulls), on)

    def mean(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """Returns the mean of a column; a dict for several columns, or for all (None)."""
        return self._reduced(lambda column: aggregate.Mean(column, ignore_nulls), on)

    def std(self, on: On = None, ddof: int = 1, ignore_nulls: bool = True) -> Any:
        """Returns the standard deviation of a column; a dict for several columns, or for all (None).

        Args:
            on: columns.
            ddof: what is taken off the number of values in the divisor.
            ignore_nulls: False: a null makes the result null.
        """
        return self._reduced(lambda column: aggregate.Std(column, ddof, ignore_nulls), on)

    def unique(self, column: str, ignore_nulls: bool = False) -> list[Any]:
        """Returns the different values of a column, in the order in which they first appear.

        Raises:
            ColumnNotFoundError: there is no such column.
        """
        import pyarrow.compute as pc

        narrow = self._over(self._plan).select_columns([column])
        parts = [table.select([column]) for table in narrow._tables()]
        if not parts:
            return []
        values = pc.unique(concat(parts).column(0)).to_pylist()
        return [value for value in values if value is not None] if ignore_nulls else values

    def _reduced(self, make: Callable[[str], AggregateFn], on: On) -> Any:
        if isinstance(on, str):
            made = make(on)
            return self.aggregate(made)[made.name]
        columns = names("on", on) if on is not None else known_columns(self._plan)
        if columns is None:
            schema = self._over(self._plan).schema()
            columns = list(schema.names) if schema is not None else []
        if not columns:
            return None
        return self.aggregate(*(make(column) for column in columns))
