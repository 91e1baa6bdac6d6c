"""Aggregations by sketches, of Apache DataSketches: their states are small, however many values there are."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shoal.data._internal.aggregation.functions import AggregateFnV2
from shoal.data.exceptions import BatchTypeError, InvalidArgumentError

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)


class _Sketched(AggregateFnV2):
    """Nulls are left out."""

    kind = ""

    def __init__(self, on: str, alias_name: str | None) -> None:
        if not isinstance(on, str) or not on:
            raise InvalidArgumentError(f"{type(self).__name__}: on is {on!r}; give a column's name")
        try:
            import datasketches  # noqa: F401  it is missed here, not in a task
        except ImportError as error:
            raise InvalidArgumentError(
                f'{type(self).__name__} needs datasketches: pip install "shoal-data[sketches]".'
            ) from error
        super().__init__(alias_name or f"{self.kind}({on})", lambda: None, on=on, ignore_nulls=True)


class ApproximateQuantile(_Sketched):
    """Quantiles of a column, as a list: near to the exact ones, with little memory (a KLL sketch). None where there are no values.

    Which of the neighbours of a quantile is given may differ from run to run where there are more than some hundreds of values. Needs
    datasketches.

    Args:
        on: the column, of numbers.
        quantiles: each from 0 to 1.
        quantile_precision: 8 to 65,535; twice as much halves the error (800: a rank is 0.4 % off at most, in 99 of 100 cases), and takes
            twice the memory.
        alias_name: of the result's column; None for `approx_quantile(x)`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be, or datasketches is not installed.
    """

    kind = "approx_quantile"

    def __init__(
        self, on: str, quantiles: Sequence[float], quantile_precision: int = 800, alias_name: str | None = None
    ) -> None:
        if not quantiles or not all(0 <= q <= 1 for q in quantiles):
            raise InvalidArgumentError(f"ApproximateQuantile: quantiles is {quantiles!r}; give numbers from 0 to 1")
        if not 8 <= quantile_precision <= 65_535:
            raise InvalidArgumentError(
                f"ApproximateQuantile: quantile_precision is {quantile_precision!r}; give a number from 8 to 65535"
            )
        super().__init__(on, alias_name)
        self._quantiles = list(quantiles)
        self._precision = quantile_precision

    def aggregate_block(self, block: pa.Table) -> Any:
        from datasketches import kll_doubles_sketch

        column = block.column(self._target_col_name).drop_null()
        if not any(is_such(column.type) for is_such in _NUMBERS):
            raise BatchTypeError(
                f"{self.name}: column {self._target_col_name!r} has values of type {column.type}; it needs numbers"
            )
        sketch = kll_doubles_sketch(self._precision)
        sketch.update(column.cast(pa.float64()).to_numpy().copy())  # it takes no array that cannot be written to
        return sketch.serialize()

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        from datasketches import kll_doubles_sketch

        if current_accumulator is None or new is None:
            return new if current_accumulator is None else current_accumulator
        sketch = kll_doubles_sketch.deserialize(current_accumulator)
        sketch.merge(kll_doubles_sketch.deserialize(new))
        return sketch.serialize()

    def finalize(self, accumulator: Any) -> Any:
        from datasketches import kll_doubles_sketch

        sketch = kll_doubles_sketch.deserialize(accumulator) if accumulator is not None else None
        return None if sketch is None or sketch.is_empty() else sketch.get_quantiles(self._quantiles)


class ApproximateTopK(_Sketched):
    """The most frequent values of a column, most frequent first: [{x: value, "count": times}, …], with little memory.

    Exact while a column has less different values than three quarters of the sketch's capacity; beyond that, counts are too high at most
    by a small part of the number of rows. Needs datasketches.

    Args:
        on: the column.
        k: how many values.
        log_capacity: the sketch has room for 2 to the power of it.
        alias_name: of the result's column; None for `approx_topk(x)`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be, or datasketches is not installed.
    """

    kind = "approx_topk"

    def __init__(self, on: str, k: int, log_capacity: int = 15, alias_name: str | None = None) -> None:
        if k < 1:
            raise InvalidArgumentError(f"ApproximateTopK: k is {k!r}; give a number of 1 or more")
        if not 3 <= log_capacity <= 26:
            raise InvalidArgumentError(f"ApproximateTopK: log_capacity is {log_capacity!r}; give one from 3 to 26")
        super().__init__(on, alias_name)
        self._k = k
        self._log_capacity = log_capacity

    def aggregate_block(self, block: pa.Table) -> Any:
        from shoal.data._internal.blocks.convert import to_values

        sketch = self._empty()
        for text, count in Counter(map(_text_of, to_values(block.column(self._target_col_name).drop_null()))).items():
            sketch.update(text, count)
        return sketch.serialize()

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        from datasketches import frequent_strings_sketch

        sketch = self._empty()
        for state in (current_accumulator, new):
            if state is not None:
                sketch.merge(frequent_strings_sketch.deserialize(state))
        return sketch.serialize()

    def finalize(self, accumulator: Any) -> Any:
        from datasketches import frequent_items_error_type, frequent_strings_sketch

        if accumulator is None:
            return []
        sketch = frequent_strings_sketch.deserialize(accumulator)
        found = sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        values = [(_value_of(text), count) for text, count, _, _ in found]
        # Of equally frequent values always the same ones.
        values.sort(key=lambda pair: (-pair[1], str(pair[0])))
        return [{self._target_col_name: value, "count": count} for value, count in values[: self._k]]

    def _empty(self) -> Any:
        from datasketches import frequent_strings_sketch

        return frequent_strings_sketch(self._log_capacity)


def _text_of(value: Any) -> str:
    """What a sketch can hold of any value."""
    return pickle.dumps(value, protocol=4).hex()


def _value_of(text: str) -> Any:
    return pickle.loads(bytes.fromhex(text))
