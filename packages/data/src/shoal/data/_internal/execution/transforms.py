"""Steps that work on one block after the other: what a task or an actor runs. Several in a row are one pass over the tables.

A step takes an iterator of tables and gives one. Errors of the user's functions leave with a note that says in which step, and in which
rows of which block.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_batch, table_of_rows
from shoal.data._internal.blocks.combine import concat, slice_rows
from shoal.data._internal.blocks.convert import to_batch, to_rows
from shoal.data._internal.execution.failed_batches import save_failed
from shoal.data._internal.plan.operators import (
    Blocks,
    DropColumns,
    FilterExpression,
    FilterRows,
    FlatMap,
    MapBatches,
    MapRows,
    Operator,
    RenameColumns,
    RowWise,
    SelectColumns,
    UserFunction,
    WithColumns,
)
from shoal.data._internal.plan.schemas import check_columns, renamed
from shoal.data.exceptions import BatchTypeError


class Step(ABC):
    """One step over tables."""

    name: str

    def open(self) -> None:
        """Makes the user's object now, where there is one, so that its constructor's errors come early."""
        return

    @abstractmethod
    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yields what becomes of the tables."""


def step_of(operator: RowWise) -> Step:
    """Returns the step that carries a logical operator out."""
    if isinstance(operator, MapBatches):
        return BatchStep(
            operator.name, _callable(operator.function), operator.batch_size, operator.batch_format, operator.zero_copy
        )
    if isinstance(operator, MapRows):
        return RowStep(operator.name, _callable(operator.function))
    if isinstance(operator, FlatMap):
        return FlatMapStep(operator.name, _callable(operator.function))
    if isinstance(operator, FilterRows):
        return FilterStep(operator.name, _callable(operator.function))
    return TableStep(operator)


def is_row_wise(operator: Operator) -> bool:
    """Whether an operator works on one block after the other."""
    return isinstance(operator, RowWise)


def run_steps(steps: Sequence[Step], tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields what all steps, one after the other, make of the tables."""
    for step in steps:
        tables = step(tables)
    yield from tables


@dataclass
class _Callable:
    """The user's function with its further arguments; a class's object is made once in each process."""

    function: UserFunction
    _instance: Any = None

    def open(self) -> None:
        """Makes the object of a class."""
        if self.function.is_class and self._instance is None:
            self._instance = self.function.function(*self.function.constructor_args, **self.function.constructor_kwargs)

    def ready(self) -> Callable[[Any], Any]:
        """Returns what is called with each row or batch: the function itself, where it has no further arguments."""
        self.open()
        target: Callable[..., Any] = self._instance if self.function.is_class else self.function.function
        args, kwargs = self.function.args, self.function.kwargs
        return (lambda value: target(value, *args, **kwargs)) if args or kwargs else target

    def failed(self, step: str, rows: pa.Table, error: BaseException) -> None:
        """Saves the rows on which it raised, where the user asked for that."""
        folder = self.function.save_failed_to
        if folder is not None and isinstance(error, Exception):
            save_failed(folder, step, rows, error)

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function, "_instance": None}


def _callable(function: UserFunction) -> _Callable:
    return _Callable(function)


def annotate(error: BaseException, text: str) -> None:
    """Adds a note to an error, once."""
    if text not in getattr(error, "__notes__", []):
        error.add_note(text)


class BatchStep(Step):
    """A function of batches."""

    def __init__(
        self, name: str, function: _Callable, batch_size: int | None, batch_format: str | None, zero_copy: bool
    ) -> None:
        self.name = name
        self._function = function
        self._batch_size = batch_size
        self._batch_format = batch_format
        self._zero_copy = zero_copy

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        function = self._function.ready()
        start = 0
        for batch in batches_of(tables, self._batch_size):
            if batch.num_rows == 0 and batch.num_columns == 0:
                continue
            try:
                value = function(to_batch(batch, self._batch_format, self._zero_copy))
                if inspect.isgenerator(value) or (hasattr(value, "__next__") and not isinstance(value, pa.Table)):
                    for item in value:
                        yield self._table(item)
                else:
                    if inspect.isawaitable(value):
                        value = _awaited(value)
                    yield self._table(value)
            except BaseException as error:
                self._function.failed(self.name, batch, error)
                annotate(error, f"in {self.name}, rows {start} to {start + batch.num_rows - 1} of the block")
                raise
            start += batch.num_rows

    def _table(self, value: Any) -> pa.Table:
        return table_of_batch(value, self.name)


def _awaited(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


class RowStep(Step):
    """A function of a row that gives a row."""

    def __init__(self, name: str, function: _Callable) -> None:
        self.name = name
        self._function = function

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        function = self._function.ready()
        start = 0
        for table in tables:
            rows: list[Any] = []
            try:
                for row in to_rows(table):
                    made = function(row)
                    if type(made) is not dict and not hasattr(made, "keys"):
                        raise BatchTypeError(
                            f"{self.name} returned {type(made).__name__}; return a dict of column names to values"
                        )
                    rows.append(made)
            except BaseException as error:
                self._function.failed(self.name, table.slice(len(rows), 1), error)
                annotate(error, f"in {self.name}, row {start + len(rows)} of the block")
                raise
            start += table.num_rows
            if rows:
                yield table_of_rows(rows)


class FlatMapStep(Step):
    """A function of a row that gives any number of rows."""

    def __init__(self, name: str, function: _Callable) -> None:
        self.name = name
        self._function = function

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        function = self._function.ready()
        start = 0
        for table in tables:
            rows: list[Any] = []
            position = 0
            try:
                for position, row in enumerate(to_rows(table)):  # noqa: B007  the position tells where it failed
                    made = function(row)
                    if isinstance(made, (dict, str, bytes)) or not hasattr(made, "__iter__"):
                        raise BatchTypeError(f"{self.name} returned {type(made).__name__}; return a list of dicts")
                    rows.extend(made)
            except BaseException as error:
                self._function.failed(self.name, table.slice(position, 1), error)
                annotate(error, f"in {self.name}, row {start + position} of the block")
                raise
            start += table.num_rows
            if rows:
                yield table_of_rows(rows)


class FilterStep(Step):
    """A function of a row that says whether to keep it."""

    def __init__(self, name: str, function: _Callable) -> None:
        self.name = name
        self._function = function

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        function = self._function.ready()
        start = 0
        for table in tables:
            keep: list[bool] = []
            try:
                for row in to_rows(table):
                    keep.append(bool(function(row)))  # noqa: PERF401  the position tells where it failed
            except BaseException as error:
                self._function.failed(self.name, table.slice(len(keep), 1), error)
                annotate(error, f"in {self.name}, row {start + len(keep)} of the block")
                raise
            start += table.num_rows
            yield table.filter(pa.array(keep, pa.bool_())) if table.num_columns else slice_rows(table, 0, sum(keep))


_NOTHING_BELOW = Blocks((), (), (), None)


class TableStep(Step):
    """Columns chosen, dropped, renamed, computed; rows filtered by an expression."""

    def __init__(self, operator: FilterExpression | SelectColumns | DropColumns | RenameColumns | WithColumns) -> None:
        self.name = operator.name
        # A step travels to workers, and what lies below in the plan (whole tables, connections) must not travel along.
        self._operator = replace(operator, input=_NOTHING_BELOW)

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            if table.num_columns == 0 and table.num_rows == 0:
                continue  # an empty block without a schema has no columns to miss
            yield self._apply(table)

    def _apply(self, table: pa.Table) -> pa.Table:
        operator = self._operator
        if isinstance(operator, FilterExpression):
            return table.filter(operator.predicate.evaluate(table))
        if isinstance(operator, SelectColumns):
            check_columns(operator.columns, table.column_names, "select_columns")
            return table.select(list(operator.columns))
        if isinstance(operator, DropColumns):
            check_columns(operator.columns, table.column_names, "drop_columns")
            return table.drop_columns(list(operator.columns))
        if isinstance(operator, RenameColumns):
            return table.rename_columns(renamed(table.column_names, operator))
        result = table
        for name, expr in operator.columns:
            column = expr.evaluate(table)
            position = result.schema.get_field_index(name)
            result = result.set_column(position, name, column) if position >= 0 else result.append_column(name, column)
        return result


def batches_of(tables: Iterable[pa.Table], batch_size: int | None) -> Iterator[pa.Table]:
    """Yields the same rows in tables of `batch_size` rows (the last may have less); the tables as they are with None."""
    if batch_size is None:
        yield from tables
        return
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        position = 0
        while rows + table.num_rows - position >= batch_size:
            taken = batch_size - rows
            waiting.append(slice_rows(table, position, taken))
            position += taken
            yield waiting[0] if len(waiting) == 1 else concat(waiting)
            waiting, rows = [], 0
        if position < table.num_rows:
            waiting.append(table.slice(position))
            rows += table.num_rows - position
    if waiting:
        yield waiting[0] if len(waiting) == 1 else concat(waiting)
