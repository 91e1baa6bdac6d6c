"""Transforms of rows, batches and columns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from shoal.data._internal.api.arguments import (
    batch_format as checked_format,
)
from shoal.data._internal.api.arguments import (
    compute_of,
    names,
    not_negative,
    positive,
    user_function,
)
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.plan.operators import (
    DropColumns,
    FilterExpression,
    FilterRows,
    FlatMap,
    Limit,
    MapBatches,
    MapRows,
    RandomSample,
    RenameColumns,
    SelectColumns,
    UserFunction,
    WithColumns,
)
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset
    from shoal.data.expressions import Expr

BatchFormat = Literal["default", "numpy", "pandas", "pyarrow"] | None


class Transforming(DatasetBase):
    """Part of `Dataset`."""

    def map(
        self,
        fn: Callable[..., Mapping[str, Any]] | type,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Makes one row of each row.

        Args:
            fn: gets a row as a dict, returns a dict; or a class whose objects do that (it runs on actors).
            compute: `ActorPoolStrategy` or `TaskPoolStrategy`.
            fn_args: further arguments of `fn`.
            fn_kwargs: further keyword arguments of `fn`.
            fn_constructor_args: arguments of the class.
            fn_constructor_kwargs: keyword arguments of the class.
            concurrency: most tasks at a time, or actors; (least, most) for a pool that grows.
            ray_remote_args: options of the tasks or actors: num_cpus, num_gpus, memory (bytes), resources, runtime_env, ….

        Raises:
            InvalidArgumentError: (a ValueError) `fn` cannot be called, an option is unknown or cannot be.

        Example:
            >>> import shoal
            >>> shoal.data.range(3).map(lambda row: {"double": row["id"] * 2}).take_all()
            [{'double': 0}, {'double': 2}, {'double': 4}]
        """
        function = user_function(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs, self._context)
        return self._over(
            MapRows(self._plan, function, compute_of(function.is_class, compute, concurrency, ray_remote_args))
        )

    def map_batches(
        self,
        fn: Callable[..., Any] | type,
        *,
        batch_size: int | Literal["default"] | None = None,
        compute: Any = None,
        batch_format: BatchFormat = "default",
        zero_copy_batch: bool = True,
        udf_modifying_row_count: bool = True,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Makes batches of batches.

        Args:
            fn: gets a batch and returns one, in any format; a generator may yield several. Or a class whose objects do that.
            batch_size: rows of a batch; None for whole blocks. The last batch of a task may have less.
            compute: `ActorPoolStrategy` or `TaskPoolStrategy`.
            batch_format: 'numpy' (dict of arrays), 'pandas', 'pyarrow', None for the block as it is.
            zero_copy_batch: the arrays may be read-only views of the block; False for copies that may be changed in place.
            udf_modifying_row_count: False promises that `fn` keeps the number of rows, so that limits may move below it.
            fn_args: further arguments of `fn`.
            fn_kwargs: further keyword arguments of `fn`.
            fn_constructor_args: arguments of the class.
            fn_constructor_kwargs: keyword arguments of the class.
            concurrency: most tasks at a time, or actors; (least, most) for a pool that grows.
            ray_remote_args: options of the tasks or actors: num_cpus, num_gpus, memory (bytes), resources, runtime_env, ….

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be.

        Example:
            >>> import shoal
            >>> shoal.data.range(3).map_batches(lambda batch: {"square": batch["id"] ** 2}).take_all()
            [{'square': 0}, {'square': 1}, {'square': 4}]
        """
        function = user_function(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs, self._context)
        size = None if batch_size in (None, "default") else positive("batch_size", batch_size)
        return self._over(
            MapBatches(
                self._plan,
                function,
                size,
                checked_format(batch_format),
                zero_copy_batch,
                not udf_modifying_row_count,
                compute_of(function.is_class, compute, concurrency, ray_remote_args),
            )
        )

    def flat_map(
        self,
        fn: Callable[..., Iterable[Mapping[str, Any]]] | type,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Makes any number of rows of each row.

        Args:
            fn: gets a row as a dict, returns a list of dicts; or a class whose objects do that.
            compute: as for `map`, and so are the other arguments.

        Example:
            >>> import shoal
            >>> shoal.data.range(2).flat_map(lambda row: [row, row]).take_all()
            [{'id': 0}, {'id': 0}, {'id': 1}, {'id': 1}]
        """
        function = user_function(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs, self._context)
        return self._over(
            FlatMap(self._plan, function, compute_of(function.is_class, compute, concurrency, ray_remote_args))
        )

    def filter(
        self,
        fn: Callable[..., bool] | type | None = None,
        expr: str | Expr | None = None,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Keeps the rows for which a function or an expression is true. Expressions are faster, and are pushed into readers.

        Args:
            fn: gets a row as a dict, returns whether to keep it.
            expr: an expression of `shoal.data.expressions`, or one as text: `"x > 5 and name in ['a', 'b']"`.
            compute: as for `map`, and so are the other arguments.

        Raises:
            InvalidArgumentError: (a ValueError) not exactly one of `fn` and `expr` is given, or the text is no expression.
            ColumnNotFoundError: the expression looks at a column that is not there.

        Example:
            >>> import shoal
            >>> shoal.data.range(5).filter(expr="id >= 3").take_all()
            [{'id': 3}, {'id': 4}]
        """
        from shoal.data.expressions import Expr, parse

        if isinstance(fn, Expr):
            fn, expr = None, fn
        if (fn is None) == (expr is None):
            raise InvalidArgumentError("filter: give a function, or expr=, and not both")
        if expr is not None:
            predicate = parse(expr) if isinstance(expr, str) else expr
            return self._over(
                FilterExpression(self._plan, predicate, compute_of(False, compute, concurrency, ray_remote_args))
            )
        function = user_function(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs, self._context)
        return self._over(
            FilterRows(self._plan, function, compute_of(function.is_class, compute, concurrency, ray_remote_args))
        )

    def add_column(
        self,
        col: str,
        fn: Callable[[Any], Any],
        *,
        batch_format: BatchFormat = "pandas",
        compute: Any = None,
        concurrency: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds a column that a function makes of batches; one of the same name is replaced.

        Args:
            col: its name.
            fn: gets a batch, returns the column's values: a Series, an array, or a list.
            batch_format: 'pandas', 'numpy' or 'pyarrow'.
            compute: as for `map_batches`, and so are the other arguments.

        Example:
            >>> import shoal
            >>> shoal.data.range(2).add_column("next", lambda df: df["id"] + 1).take_all()
            [{'id': 0, 'next': 1}, {'id': 1, 'next': 2}]
        """
        if not isinstance(col, str):
            raise InvalidArgumentError(f"col is {col!r}; column names are strings")
        if batch_format not in ("pandas", "numpy", "pyarrow"):
            raise InvalidArgumentError(f"batch_format is {batch_format!r}; give 'pandas', 'numpy' or 'pyarrow'")
        if not callable(fn):
            raise InvalidArgumentError(f"fn is {fn!r}; give a function of a batch")
        return self._over(
            MapBatches(
                self._plan,
                UserFunction(_AddColumn(col, fn), save_failed_to=self._context.save_failed_batches_to),
                None,
                batch_format,
                True,
                True,
                compute_of(False, compute, concurrency, ray_remote_args),
            )
        )

    def select_columns(
        self, cols: str | Sequence[str], *, compute: Any = None, concurrency: int | None = None, **ray_remote_args: Any
    ) -> Dataset:
        """Keeps some columns, in the order given.

        Raises:
            ColumnNotFoundError: there is no such column; the text has those that are alike.

        Example:
            >>> import shoal
            >>> shoal.data.from_items([{"a": 1, "b": 2}]).select_columns(["b"]).take_all()
            [{'b': 2}]
        """
        how = compute_of(False, compute, concurrency, ray_remote_args)
        return self._over(SelectColumns(self._plan, names("cols", cols), how))

    def drop_columns(
        self, cols: str | Sequence[str], *, compute: Any = None, concurrency: int | None = None, **ray_remote_args: Any
    ) -> Dataset:
        """Leaves some columns out.

        Raises:
            ColumnNotFoundError: there is no such column.

        Example:
            >>> import shoal
            >>> shoal.data.from_items([{"a": 1, "b": 2}]).drop_columns(["b"]).take_all()
            [{'a': 1}]
        """
        how = compute_of(False, compute, concurrency, ray_remote_args)
        return self._over(DropColumns(self._plan, names("cols", cols), how))

    def rename_columns(
        self,
        names: Mapping[str, str] | Sequence[str],
        *,
        compute: Any = None,
        concurrency: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Gives columns other names.

        Args:
            names: old names to new ones; or new names for all columns, in order.

        Raises:
            ColumnNotFoundError: there is no such column.
            ValueError: two columns would have the same name.
        """
        how = compute_of(False, compute, concurrency, ray_remote_args)
        if isinstance(names, Mapping):
            if not names:
                raise InvalidArgumentError("names is empty; give old names to new ones")
            return self._over(RenameColumns(self._plan, tuple(names.items()), None, how))
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise InvalidArgumentError(
                f"names is {names!r}; give a dict of old names to new ones, or a list of all new names"
            )
        return self._over(RenameColumns(self._plan, (), tuple(names), how))

    def with_column(
        self,
        column_name: str,
        expr: Expr,
        *,
        compute: Any = None,
        concurrency: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds a column by an expression; one of the same name is replaced.

        Args:
            column_name: its name.
            expr: over the columns that there are.

        Raises:
            ColumnNotFoundError: the expression looks at a column that is not there.

        Example:
            >>> import shoal
            >>> from shoal.data.expressions import col
            >>> shoal.data.range(2).with_column("double", col("id") * 2).take_all()
            [{'id': 0, 'double': 0}, {'id': 1, 'double': 2}]
        """
        return self.with_columns({column_name: expr}, compute=compute, concurrency=concurrency, **ray_remote_args)

    def with_columns(
        self,
        exprs: Mapping[str, Expr] | Expr | Iterable[Expr] | None = None,
        *more_exprs: Expr,
        compute: Any = None,
        concurrency: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds several columns by expressions over the columns that there are.

        Args:
            exprs: names to expressions; or expressions with names (`.alias("x")`).
            more_exprs: further expressions with names.
        """
        from shoal.data.expressions import Expr

        if isinstance(exprs, Mapping):
            pairs = list(exprs.items())
        else:
            given = [exprs] if isinstance(exprs, Expr) else list(exprs or ())
            pairs = [(expr.name, expr) for expr in given]
        pairs += [(expr.name, expr) for expr in more_exprs]
        if not pairs:
            raise InvalidArgumentError("with_columns: give at least one expression")
        for name, expr in pairs:
            if not isinstance(name, str) or not name:
                raise InvalidArgumentError(
                    f"a column's name is {name!r}; give a string, or .alias(name) to the expression"
                )
            if not isinstance(expr, Expr):
                raise InvalidArgumentError(
                    f"with_column({name!r}): {expr!r} is no expression; give one of shoal.data.expressions, "
                    "or use add_column for a function"
                )
        how = compute_of(False, compute, concurrency, ray_remote_args)
        return self._over(WithColumns(self._plan, tuple(pairs), how))

    def limit(self, limit: int) -> Dataset:
        """Keeps the first rows. What is not needed for them is not read.

        Raises:
            InvalidArgumentError: (a ValueError) a negative number.
        """
        return self._over(Limit(self._plan, not_negative("limit", limit)))

    def random_sample(self, fraction: float, *, seed: int | None = None) -> Dataset:
        """Keeps each row with a probability, so that the number of rows varies.

        Args:
            fraction: the probability, from 0 to 1.
            seed: the same rows are kept each time, however the data lies in blocks; None for another choice each time.

        Raises:
            InvalidArgumentError: (a ValueError) a fraction that is no probability.
        """
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise InvalidArgumentError(f"fraction is {fraction!r}; give a probability from 0 to 1")
        return self._over(RandomSample(self._plan, float(fraction), new_seed(seed)))


def new_seed(seed: Any) -> int:
    """Returns the seed, or one of chance for None. Raises InvalidArgumentError."""
    if seed is None:
        return random.SystemRandom().getrandbits(63)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InvalidArgumentError(f"seed is {seed!r}; give a whole number, or None")
    return seed


class _AddColumn:
    """A function of batches that adds one column."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name = name
        self._function = function
        self.__name__ = f"add_column({name})"

    def __call__(self, batch: Any) -> Any:
        values = self._function(batch)
        if hasattr(batch, "append_column"):
            from shoal.data._internal.blocks.build import array_of

            position = batch.schema.get_field_index(self._name)
            column = array_of(values)
            if position >= 0:
                return batch.set_column(position, self._name, column)
            return batch.append_column(self._name, column)
        if isinstance(batch, dict):
            return {**batch, self._name: values}
        return batch.assign(**{self._name: values})
