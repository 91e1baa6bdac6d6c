"""Steps that work on one block after the other: what a task or an actor runs. Several in a row are one pass over the tables.

A step takes an iterator of tables and gives one. Errors of the user's functions leave with a note that says in which step, and in which
rows of which block.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_batch, table_of_rows
from shoal.data._internal.blocks.combine import concat, size_bytes, slice_rows
from shoal.data._internal.blocks.convert import to_batch, to_rows
from shoal.data._internal.execution.async_calls import AsyncCalls, is_async, whole
from shoal.data._internal.execution.failed_batches import save_failed
from shoal.data._internal.execution.retrying import retried, retried_async
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
    is_async = False
    """Whether several calls wait at the same time without keeping a processor busy."""

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
    _async_calls: AsyncCalls | None = None

    def open(self) -> None:
        """Makes the object of a class, and the event loop for its coroutines."""
        if self.function.is_class and self._instance is None:
            self._instance = self.function.function(*self.function.constructor_args, **self.function.constructor_kwargs)
            if self.is_async:
                self.async_calls()

    @property
    def is_async(self) -> bool:
        """Whether it gives what is to be awaited."""
        target: Any = self.function.function
        return _gives_awaitables(getattr(target, "__call__", None) if self.function.is_class else target)  # noqa: B004

    def ready(self) -> Callable[[Any], Any]:
        """Returns what is called with each row or batch: the function itself, where it has no further arguments."""
        self.open()
        target: Callable[..., Any] = self._instance if self.function.is_class else self.function.function
        args, kwargs = self.function.args, self.function.kwargs

        def call(value: Any) -> Any:
            return target(value, *args, **kwargs)

        errors, times = self.function.retried_errors, self.function.retries
        if times and self.is_async:
            return lambda value: retried_async(lambda: whole(call(value)), errors, times)
        if times:
            return lambda value: retried(lambda: _all_of(call(value)), errors, times)
        return call if args or kwargs else target

    def async_calls(self) -> AsyncCalls:
        """Returns what runs the coroutines that it gives."""
        if self._async_calls is None:
            self._async_calls = AsyncCalls()
        return self._async_calls

    def failed(self, step: str, rows: pa.Table, error: BaseException) -> None:
        """Saves the rows on which it raised, where the user asked for that."""
        folder = self.function.save_failed_to
        if folder is not None and isinstance(error, Exception):
            save_failed(folder, step, rows, error)

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function, "_instance": None}


def _all_of(made: Any) -> Any:
    """Returns all that a generator yields, so that its errors come now."""
    return iter(list(made)) if inspect.isgenerator(made) else made


def _gives_awaitables(target: Any) -> bool:
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (target, getattr(target, "__call__", None))  # noqa: B004  objects of classes
    )


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
        self.is_async = function.is_async
        self._function = function
        self._batch_size = batch_size
        self._batch_format = batch_format
        self._zero_copy = zero_copy

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        batches = self._placed(tables)
        first = next(batches, None)
        if first is None:
            return
        function = self._function.ready()
        made = self._called(function, first)
        if is_async(made):
            # All that runs at the same time has been given its batch: those are as few as may run.
            calls = ((place, self._called(function, place)) for place in batches)
            for place, future in self._function.async_calls().in_order(itertools.chain([(first, made)], calls)):
                yield from self._tables(place, future.result)
            return
        yield from self._tables(first, functools.partial(_self, made))
        for place in batches:
            yield from self._tables(place, functools.partial(_self, self._called(function, place)))

    def _placed(self, tables: Iterable[pa.Table]) -> Iterator[_Place]:
        start = 0
        for batch in batches_of(tables, self._batch_size):
            if batch.num_rows or batch.num_columns:
                yield _Place(start, batch)
                start += batch.num_rows

    def _called(self, function: Callable[[Any], Any], place: _Place) -> Any:
        try:
            return function(to_batch(place.batch, self._batch_format, self._zero_copy))
        except BaseException as error:
            self._note(error, place)
            raise

    def _tables(self, place: _Place, result: Callable[[], Any]) -> Iterator[pa.Table]:
        try:
            value = result()
            if inspect.isgenerator(value) or (hasattr(value, "__next__") and not isinstance(value, pa.Table)):
                for item in value:
                    yield table_of_batch(item, self.name)
            else:
                yield table_of_batch(value, self.name)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._note(error, place)
            raise

    def _note(self, error: BaseException, place: _Place) -> None:
        self._function.failed(self.name, place.batch, error)
        annotate(error, f"in {self.name}, rows {place.start} to {place.start + place.batch.num_rows - 1} of the block")


def _self(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class _Place:
    """A batch, and where its first row stands in the block."""

    start: int
    batch: pa.Table


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


_FLAT_MAP_BYTES = 4 << 20
"""About so much is made of rows before it travels on."""
_FLAT_MAP_ROWS = 1 << 16
_FIRST_FLAT_MAP_ROWS = 1024
"""Made before their size is known."""


class FlatMapStep(Step):
    """A function of a row that gives any number of rows."""

    def __init__(self, name: str, function: _Callable) -> None:
        self.name = name
        self._function = function

    def open(self) -> None:
        self._function.open()

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        function = self._function.ready()
        start, most = 0, _FIRST_FLAT_MAP_ROWS
        for table in tables:
            rows: list[Any] = []
            position = 0
            try:
                for position, row in enumerate(to_rows(table)):  # noqa: B007  the position tells where it failed
                    made = function(row)
                    if isinstance(made, (dict, str, bytes)) or not hasattr(made, "__iter__"):
                        raise BatchTypeError(f"{self.name} returned {type(made).__name__}; return a list of dicts")
                    for one in made:
                        rows.append(one)
                        if len(rows) == most:
                            # A few rows may become very many: they travel on before the next are made.
                            done, rows = table_of_rows(rows), []
                            most = max(1, most * _FLAT_MAP_BYTES // max(1, size_bytes(done)))
                            most = min(most, _FLAT_MAP_ROWS)
                            yield done
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
