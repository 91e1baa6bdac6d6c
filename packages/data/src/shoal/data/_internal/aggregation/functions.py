"""What can be aggregated. Built-in functions are columns of state that polars makes for all groups at once; others are Python objects, one
a group."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.kernels import Reduction
from shoal.data.exceptions import BatchTypeError, InvalidArgumentError

if TYPE_CHECKING:
    import polars as pl


class AggregateFn:
    """An aggregation of the user's, by functions.

    Args:
        init: makes the state of a group, of its key.
        merge: joins two states.
        name: of the result's column.
        accumulate_row: adds a row (a dict) to a state.
        accumulate_block: adds an Arrow table to a state; instead of `accumulate_row`.
        finalize: makes the result of a state; None for the state itself.

    Raises:
        InvalidArgumentError: (a ValueError) not exactly one way to accumulate.
    """

    def __init__(
        self,
        init: Callable[[Any], Any],
        merge: Callable[[Any, Any], Any],
        name: str,
        accumulate_row: Callable[[Any, dict[str, Any]], Any] | None = None,
        accumulate_block: Callable[[Any, pa.Table], Any] | None = None,
        finalize: Callable[[Any], Any] | None = None,
    ) -> None:
        if (accumulate_row is None) == (accumulate_block is None):
            raise InvalidArgumentError("AggregateFn: give accumulate_row or accumulate_block, and not both")
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"AggregateFn: name is {name!r}; give a string")
        self.name = name
        self._init = init
        self._merge = merge
        self._row = accumulate_row
        self._block = accumulate_block
        self._final = finalize

    def columns(self) -> frozenset[str] | None:
        """Returns the columns that it looks at; None where that may be any."""
        return None

    def of_nothing(self) -> Any:
        """Returns its result where there are no rows."""
        return self.result(self._init(None))

    def state_of(self, key: Any, group: pa.Table) -> Any:
        """Returns the state of a group's rows in one block."""
        state = self._init(key)
        if self._block is not None:
            return self._block(state, group)
        from shoal.data._internal.blocks.convert import to_rows

        assert self._row is not None
        for row in to_rows(group):
            state = self._row(state, row)
        return state

    def joined(self, left: Any, right: Any) -> Any:
        """Returns two states as one."""
        return self._merge(left, right)

    def result(self, state: Any) -> Any:
        """Returns what a state comes to."""
        return self._final(state) if self._final is not None else state


class AggregateFnV2(AggregateFn):
    """An aggregation of the user's, by methods: derive from it and define `aggregate_block` and `combine`.

    Args:
        name: of the result's column.
        zero_factory: makes the state of nothing.
        on: the column; None for whole rows.
        ignore_nulls: leave nulls out; for the subclass to keep to.
    """

    def __init__(self, name: str, zero_factory: Callable[[], Any], *, on: str | None, ignore_nulls: bool) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"name is {name!r}; give a string")
        self.name = name
        self._zero = zero_factory
        self._target_col_name = on
        self._ignore_nulls = ignore_nulls

    def get_target_column(self) -> str | None:
        """Returns the column."""
        return self._target_col_name

    def columns(self) -> frozenset[str] | None:
        return frozenset((self._target_col_name,)) if self._target_col_name is not None else None

    def aggregate_block(self, block: pa.Table) -> Any:
        """Returns the state of a block's rows."""
        raise NotImplementedError(f"{type(self).__name__} has no aggregate_block")

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """Returns two states as one."""
        raise NotImplementedError(f"{type(self).__name__} has no combine")

    def finalize(self, accumulator: Any) -> Any:
        """Returns what a state comes to."""
        return accumulator

    def of_nothing(self) -> Any:
        return self.finalize(self._zero())

    def state_of(self, key: Any, group: pa.Table) -> Any:
        return self.combine(self._zero(), self.aggregate_block(group))

    def joined(self, left: Any, right: Any) -> Any:
        return self.combine(left, right)

    def result(self, state: Any) -> Any:
        return self.finalize(state)


class BuiltIn(AggregateFn):
    """An aggregation in columns: polars expressions make, join and finish its state. State columns are named `{prefix}{part}`."""

    kind = ""
    numbers_only = False

    def __init__(self, on: str | None, ignore_nulls: bool, alias_name: str | None) -> None:
        if on is not None and (not isinstance(on, str) or not on):
            raise InvalidArgumentError(f"{type(self).__name__}: on is {on!r}; give a column's name")
        if on is None and self.kind != "count":
            raise InvalidArgumentError(f"{type(self).__name__}: give the column to aggregate")
        self.on = on
        self.ignore_nulls = ignore_nulls
        self.name = alias_name if alias_name is not None else f"{self.kind}({on if on is not None else ''})"

    def columns(self) -> frozenset[str] | None:
        return frozenset((self.on,)) if self.on is not None else frozenset()

    def of_nothing(self) -> Any:
        return None

    def check(self, schema: pa.Schema) -> None:
        """Raises BatchTypeError where the column has no numbers and they are needed."""
        if self.on is None or not self.numbers_only:
            return
        kind = schema.field(self.on).type
        numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if not (numbers or pa.types.is_decimal(kind) or pa.types.is_null(kind) or pa.types.is_duration(kind)):
            raise BatchTypeError(
                f"{self.name}: column {self.on!r} has values of type {kind}; {self.kind} needs numbers"
            )

    def make(self, prefix: str) -> list[pl.Expr]:
        """Returns the columns of state of the rows of a group."""
        raise NotImplementedError

    def reductions(self, prefix: str) -> list[Reduction] | None:
        """Returns the same columns of state as `make`, where they are but sums, counts and extremes; None where they are more."""
        return None

    def join(self, prefix: str) -> list[pl.Expr]:
        """Returns the columns of state of several states of a group."""
        raise NotImplementedError

    def finish(self, prefix: str) -> pl.Expr:
        """Returns the result of a state."""
        raise NotImplementedError

    def _counted(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        assert self.on is not None
        column = pl.col(self.on)
        nulls = [] if self.ignore_nulls else [column.null_count().alias(f"{prefix}nulls")]
        return [column.count().alias(f"{prefix}n"), *nulls]

    def _joined_counts(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        return [pl.col(f"{prefix}n").sum(), *([] if self.ignore_nulls else [pl.col(f"{prefix}nulls").sum()])]

    def _or_null(self, prefix: str, value: pl.Expr) -> pl.Expr:
        """Null where there is no value, or where a null counts."""
        import polars as pl

        there = pl.col(f"{prefix}n") > 0
        if not self.ignore_nulls:
            there = there & (pl.col(f"{prefix}nulls") == 0)
        return pl.when(there).then(value).otherwise(None).alias(self.name)


class Count(BuiltIn):
    """The number of rows, or of a column's values.

    Args:
        on: a column; None for rows.
        ignore_nulls: leave nulls of the column out.
        alias_name: of the result's column; None for `count()` or `count(x)`.
    """

    kind = "count"

    def __init__(self, on: str | None = None, ignore_nulls: bool = False, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)

    def of_nothing(self) -> Any:
        return 0

    def make(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        counted = pl.col(self.on).count() if self.on is not None and self.ignore_nulls else pl.len()
        return [counted.cast(pl.Int64).alias(f"{prefix}n")]

    def reductions(self, prefix: str) -> list[Reduction] | None:
        counts_values = self.on is not None and self.ignore_nulls
        return [Reduction(f"{prefix}n", "count" if counts_values else "rows", self.on)]

    def join(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        return [pl.col(f"{prefix}n").sum()]

    def finish(self, prefix: str) -> pl.Expr:
        import polars as pl

        return pl.col(f"{prefix}n").cast(pl.Int64).alias(self.name)


class _Simple(BuiltIn):
    """One value of state, joined by the same function."""

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)

    def _reduced(self, column: pl.Expr) -> pl.Expr:
        raise NotImplementedError

    def _first(self, column: pl.Expr) -> pl.Expr:
        return self._reduced(column)

    def make(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        assert self.on is not None
        return [self._first(pl.col(self.on)).alias(f"{prefix}v"), *self._counted(prefix)]

    def reductions(self, prefix: str) -> list[Reduction] | None:
        if self.kind not in ("sum", "min", "max"):
            return None
        return [
            Reduction(f"{prefix}v", self.kind, self.on),
            Reduction(f"{prefix}n", "count", self.on),
            *([] if self.ignore_nulls else [Reduction(f"{prefix}nulls", "nulls", self.on)]),
        ]

    def join(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        return [self._reduced(pl.col(f"{prefix}v")), *self._joined_counts(prefix)]

    def finish(self, prefix: str) -> pl.Expr:
        import polars as pl

        return self._or_null(prefix, pl.col(f"{prefix}v"))


class Sum(_Simple):
    """The sum of a column."""

    kind = "sum"
    numbers_only = True

    def _reduced(self, column: pl.Expr) -> pl.Expr:
        return column.sum()


class Min(_Simple):
    """The least value of a column."""

    kind = "min"

    def _reduced(self, column: pl.Expr) -> pl.Expr:
        return column.min()


class Max(_Simple):
    """The greatest value of a column."""

    kind = "max"

    def _reduced(self, column: pl.Expr) -> pl.Expr:
        return column.max()


class AbsMax(_Simple):
    """The greatest absolute value of a column."""

    kind = "abs_max"
    numbers_only = True

    def _first(self, column: pl.Expr) -> pl.Expr:
        return column.abs().max()

    def _reduced(self, column: pl.Expr) -> pl.Expr:
        return column.max()


class Mean(BuiltIn):
    """The mean of a column."""

    kind = "mean"
    numbers_only = True

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)

    def make(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        assert self.on is not None
        return [pl.col(self.on).cast(pl.Float64).sum().alias(f"{prefix}v"), *self._counted(prefix)]

    def join(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        return [pl.col(f"{prefix}v").sum(), *self._joined_counts(prefix)]

    def finish(self, prefix: str) -> pl.Expr:
        import polars as pl

        return self._or_null(prefix, pl.col(f"{prefix}v") / pl.col(f"{prefix}n"))


class Std(BuiltIn):
    """The standard deviation of a column. States are joined by Chan, Golub and LeVeque's formula (1979), which loses no digits.

    Args:
        on: the column.
        ddof: what is taken off the number of values in the divisor.
        ignore_nulls: False: a null makes the result null.
        alias_name: of the result's column; None for `std(x)`.
    """

    kind = "std"
    numbers_only = True

    def __init__(self, on: str, ddof: int = 1, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)
        self.ddof = ddof

    def make(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        assert self.on is not None
        column = pl.col(self.on).cast(pl.Float64)
        spread = (column - column.mean()) ** 2
        return [
            column.mean().fill_null(0.0).alias(f"{prefix}v"),
            spread.sum().alias(f"{prefix}m2"),
            *self._counted(prefix),
        ]

    def join(self, prefix: str) -> list[pl.Expr]:
        import polars as pl

        mean, n = pl.col(f"{prefix}v"), pl.col(f"{prefix}n")
        total = n.sum()
        whole = pl.when(total > 0).then((mean * n).sum() / total).otherwise(0.0)
        between = (n * (mean - (mean * n).sum() / total) ** 2).sum()
        spread = pl.col(f"{prefix}m2").sum() + pl.when(total > 0).then(between).otherwise(0.0)
        return [whole.alias(f"{prefix}v"), spread.alias(f"{prefix}m2"), *self._joined_counts(prefix)]

    def finish(self, prefix: str) -> pl.Expr:
        import polars as pl

        n = pl.col(f"{prefix}n").cast(pl.Float64)
        value = pl.when(n > self.ddof).then((pl.col(f"{prefix}m2") / (n - self.ddof)).sqrt()).otherwise(None)
        return self._or_null(prefix, value)


class _Listed(AggregateFnV2):
    """Keeps all values of a column as its state: as much memory as they take."""

    kind = ""

    def __init__(self, on: str, ignore_nulls: bool, alias_name: str | None) -> None:
        if not isinstance(on, str) or not on:
            raise InvalidArgumentError(f"{type(self).__name__}: on is {on!r}; give a column's name")
        super().__init__(alias_name or f"{self.kind}({on})", list, on=on, ignore_nulls=ignore_nulls)

    def _values(self, block: pa.Table) -> list[Any]:
        from shoal.data._internal.blocks.convert import to_values

        values = to_values(block.column(self._target_col_name))
        return [value for value in values if value is not None] if self._ignore_nulls else values

    def aggregate_block(self, block: pa.Table) -> Any:
        return self._values(block)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return current_accumulator + new


class AsList(_Listed):
    """All values of a column, as a list."""

    kind = "list"

    def __init__(self, on: str, ignore_nulls: bool = False, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)


class Quantile(_Listed):
    """A quantile of a column, exact: its state has all values.

    Args:
        on: the column.
        q: from 0 to 1.
        ignore_nulls: False: a null makes the result null.
        alias_name: of the result's column; None for `quantile(x)`.
    """

    kind = "quantile"

    def __init__(self, on: str, q: float = 0.5, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        if not 0 <= q <= 1:
            raise InvalidArgumentError(f"Quantile: q is {q!r}; give a number from 0 to 1")
        super().__init__(on, ignore_nulls, alias_name)
        self._q = q

    def finalize(self, accumulator: Any) -> Any:
        import numpy as np

        if not accumulator or any(value is None for value in accumulator):
            return None
        return float(np.quantile(np.asarray(accumulator, dtype=np.float64), self._q))


class Unique(_Listed):
    """The different values of a column, as a list in the order of their first appearance."""

    kind = "unique"

    def __init__(
        self, on: str, ignore_nulls: bool = True, alias_name: str | None = None, encode_lists: bool | None = None
    ) -> None:
        super().__init__(on, ignore_nulls, alias_name)
        self._encode_lists = encode_lists

    def aggregate_block(self, block: pa.Table) -> Any:
        values = self._values(block)
        if self._encode_lists or (self._encode_lists is None and any(isinstance(value, list) for value in values)):
            values = [item for value in values for item in (value if isinstance(value, list) else [value])]
        # A list can be no key of a dict, so one that is taken as a whole becomes a tuple.
        return list(dict.fromkeys(tuple(value) if isinstance(value, list) else value for value in values))

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return list(dict.fromkeys([*current_accumulator, *new]))


class CountDistinct(Unique):
    """The number of different values of a column."""

    kind = "count_distinct"

    def finalize(self, accumulator: Any) -> Any:
        return len(accumulator)


class ValueCounter(_Listed):
    """The different values of a column and how often they come: {"values": [...], "counts": [...]}."""

    kind = "value_counter"

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)
        self._zero = dict

    def aggregate_block(self, block: pa.Table) -> Any:
        from collections import Counter

        return dict(Counter(self._values(block)))

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        whole = dict(current_accumulator)
        for value, count in new.items():
            whole[value] = whole.get(value, 0) + count
        return whole

    def finalize(self, accumulator: Any) -> Any:
        return {"values": list(accumulator), "counts": list(accumulator.values())}


def dump_state(state: Any) -> bytes:
    """Returns a state as bytes, for a column of a block."""
    return pickle.dumps(state, protocol=5)


def load_state(data: bytes) -> Any:
    """Returns a state that `dump_state` made."""
    return pickle.loads(data)
