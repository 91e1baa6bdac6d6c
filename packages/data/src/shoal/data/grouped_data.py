"""Rows grouped by keys, for aggregations and functions of groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from shoal.data import aggregate
from shoal.data._internal.api.arguments import batch_format as checked_format
from shoal.data._internal.api.arguments import compute_of, names, user_function
from shoal.data._internal.plan.operators import Aggregate, MapGroups
from shoal.data._internal.plan.schemas import check_columns, known_columns
from shoal.data.aggregate import AggregateFn
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data._internal.api.base import DatasetBase
    from shoal.data.dataset import Dataset

On = str | Sequence[str] | None


class GroupedData:
    """What `Dataset.groupby` returns. Results are in the order of the keys."""

    def __init__(self, dataset: DatasetBase, keys: tuple[str, ...], partitions: int | None) -> None:
        self._dataset = dataset
        self._keys = keys
        self._partitions = partitions

    def __repr__(self) -> str:
        return f"GroupedData(by={list(self._keys)}, of={self._dataset!r})"

    def aggregate(self, *aggs: AggregateFn) -> Dataset:
        """Returns one row a group: its keys, and a column for each aggregation.

        Args:
            aggs: of `shoal.data.aggregate`.

        Raises:
            ColumnNotFoundError: an aggregation is of a column that is not there.
        """
        if not aggs:
            raise InvalidArgumentError("aggregate: give at least one aggregation, such as Sum('x')")
        available = known_columns(self._dataset._plan)
        for item in aggs:
            if not isinstance(item, AggregateFn):
                raise InvalidArgumentError(f"aggregate: {item!r} is no aggregation; give one of shoal.data.aggregate")
            columns = item.columns()
            if available is not None and columns is not None:
                check_columns(sorted(columns), available, item.name)
        plan = Aggregate(self._dataset._plan, self._keys, tuple(aggs), self._partitions)
        return self._dataset._over(plan)

    def count(self) -> Dataset:
        """Returns the number of rows of each group, as `count()`."""
        return self.aggregate(aggregate.Count())

    def sum(self, on: On = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the sums of columns (None: all others) of each group, as `sum(x)`."""
        return self._reduced(lambda column: aggregate.Sum(column, ignore_nulls), on)

    def min(self, on: On = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the least values of columns (None: all others) of each group, as `min(x)`."""
        return self._reduced(lambda column: aggregate.Min(column, ignore_nulls), on)

    def max(self, on: On = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the greatest values of columns (None: all others) of each group, as `max(x)`."""
        return self._reduced(lambda column: aggregate.Max(column, ignore_nulls), on)

    def mean(self, on: On = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the means of columns (None: all others) of each group, as `mean(x)`."""
        return self._reduced(lambda column: aggregate.Mean(column, ignore_nulls), on)

    def std(self, on: On = None, ddof: int = 1, ignore_nulls: bool = True) -> Dataset:
        """Returns the standard deviations of columns (None: all others) of each group, as `std(x)`."""
        return self._reduced(lambda column: aggregate.Std(column, ddof, ignore_nulls), on)

    def map_groups(
        self,
        fn: Callable[..., Any] | type,
        *,
        zero_copy_batch: bool = True,
        compute: Any = None,
        batch_format: Literal["default", "numpy", "pandas", "pyarrow"] | None = "default",
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Makes a batch of all rows of each group.

        Args:
            fn: gets all rows of a group as a batch and returns one, in any format; a generator may yield several.
            zero_copy_batch: the arrays may be read-only views.
            compute: as for `Dataset.map_batches`, and so are the other arguments.
            batch_format: 'numpy', 'pandas', 'pyarrow', or None.

        Example:
            >>> import shoal
            >>> ds = shoal.data.from_items([{"k": 1, "x": 1}, {"k": 2, "x": 5}, {"k": 1, "x": 2}])
            >>> ds.groupby("k").map_groups(lambda g: {"most": [g["x"].max()]}).take_all()
            [{'most': 2}, {'most': 5}]
        """
        function = user_function(
            fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs, self._dataset.context
        )
        how = compute_of(function.is_class, compute, concurrency, ray_remote_args)
        plan = MapGroups(
            self._dataset._plan,
            self._keys,
            function,
            checked_format(batch_format),
            zero_copy_batch,
            how,
            self._partitions,
        )
        return self._dataset._over(plan)

    def _reduced(self, make: Callable[[str], AggregateFn], on: On) -> Dataset:
        if on is not None:
            columns = list(names("on", on))
        else:
            available: list[str] | None = self._dataset.columns()
            columns = [column for column in available or [] if column not in self._keys]
        if not columns:
            raise InvalidArgumentError("there is no column to aggregate besides the keys")
        return self.aggregate(*(make(column) for column in columns))
