"""Lists of Python values to Arrow columns.

The rules, in this order:

* integers and floats in one column become floats;
* arrays (numpy's, and tensors of other libraries) become tensor columns: fixed-shape where all are alike, variable-shaped otherwise;
* what Arrow can hold without changing a value becomes the Arrow type it infers;
* everything else (mixed kinds such as numbers and strings, sets, objects of other classes) becomes a column of pickled objects, so that
  rows come back as they were.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.elements import elements_of
from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.objects import ArrowPythonObjectArray
from shoal.data._internal.blocks.tensors import fixed_shaped, variable_shaped

_INTEGERS = (int, np.integer)
_REALS = (int, float, np.integer, np.floating)
_NOT_IN_ARROW = (set, frozenset, complex, np.complexfloating, enum.Enum, range, memoryview, type)
# In this order: booleans are integers and points in time are dates to Python, durations are integers to numpy.
_FAMILIES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("boolean", (bool, np.bool_)),
    ("duration", (datetime.timedelta, np.timedelta64)),
    ("number", _REALS),
    ("decimal", (decimal.Decimal,)),
    ("text", (str,)),
    ("bytes", (bytes, bytearray)),
    ("moment", (datetime.datetime, np.datetime64)),
    ("date", (datetime.date,)),
    ("sequence", (list, tuple, np.ndarray)),
    ("record", (dict,)),
)
# Arrays of these kinds of elements (objects, strings) become lists: the length of a string is no part of a shape.
LIST_KINDS = "OUST"
_INFERENCE_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)


def column_of_values(values: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
    """A column of these values; None and pandas' missing values become null.

    Returns:
        one array, or several chunks where the strings do not fit into one.

    Raises:
        ArrowConversionError: if a value can be neither held by Arrow nor pickled.
    """
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if not kinds:
        return pa.nulls(len(values))
    if missing := kinds & _pandas_missing_kinds():
        values = [None if type(value) in missing else value for value in values]
        return column_of_values(values)
    if any(map(is_array_kind, kinds)):
        return _column_of_arrays(values)
    if kinds in ({np.datetime64}, {np.timedelta64}):
        # numpy finds the unit that keeps all of them; pyarrow takes that of the first.
        missing_time = next(iter(kinds))("NaT")
        return elements_of(np.array([missing_time if value is None else value for value in values]))
    if not _kept_by_arrow(values, kinds):
        return ArrowPythonObjectArray.from_objects(values)
    try:
        return pa.array(values, _explicit_type(kinds, values))
    except _INFERENCE_ERRORS:
        # Integers beyond 64 bits or beyond a float's precision, structures that differ from row to row, characters that are no UTF-8.
        if {_family(kind) for kind in kinds} == {"number"}:
            numbers = _wide_numbers(values, kinds)
            if numbers is not None:
                return numbers
        return ArrowPythonObjectArray.from_objects(values)


def _kept_by_arrow(values: Iterable[Any], kinds: set[type]) -> bool:
    """Whether pyarrow's conversion, if it succeeds, gives values equal to those it got. It would turn `True, 1.5` into floats, and cut the
    time of day off a point in time that comes after a date.

    Args:
        values: of a column, or of one level of a nested one.
        kinds: their classes.
    """
    families = {_family(kind) for kind in kinds}
    if None in families or len(families) > 1:
        # (Arrow's decimals hold integers exactly.)
        return families == {"number", "decimal"} and not any(issubclass(kind, (float, np.floating)) for kind in kinds)
    if all(issubclass(kind, datetime.datetime) for kind in kinds):
        zones = {value.tzinfo for value in values if value is not None}
        return None not in zones or len(zones) == 1
    if all(issubclass(kind, (list, tuple)) for kind in kinds):
        return _level_kept_by_arrow(list(chain.from_iterable(value for value in values if value is not None)))
    if all(issubclass(kind, dict) for kind in kinds):
        records = [value for value in values if value is not None]
        names = dict.fromkeys(chain.from_iterable(records))
        return all(_level_kept_by_arrow([record.get(name) for record in records]) for name in names)
    return True


def _family(kind: type) -> str | type | None:
    """What values of a class are to Arrow: values of two families are never one column without loss. None for what Arrow would change."""
    if issubclass(kind, _NOT_IN_ARROW):
        return None
    return next((family for family, classes in _FAMILIES if issubclass(kind, classes)), kind)


def _level_kept_by_arrow(values: list[Any]) -> bool:
    kinds = set(map(type, values)) - {type(None)}
    return not kinds or _kept_by_arrow(values, kinds)


def _explicit_type(kinds: set[type], values: Sequence[Any]) -> pa.DataType | None:
    """The type where pyarrow's guess would lose something; None to let it guess."""
    # pandas' timestamps have nanoseconds, which pyarrow's guess cuts off.
    if not any(issubclass(kind, datetime.datetime) and hasattr(kind, "nanosecond") for kind in kinds):
        return None
    return (
        pa.timestamp("ns", tz=pa.array(values).type.tz)
        if any(getattr(value, "nanosecond", 0) for value in values)
        else None
    )


def _wide_numbers(values: Sequence[Any], kinds: set[type]) -> pa.Array | None:
    present = [value for value in values if value is not None]
    if all(issubclass(kind, _INTEGERS) for kind in kinds):
        if min(present) < 0 or max(present) >= 1 << 64:
            return None
        return pa.array(values, pa.uint64())
    try:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    except OverflowError:
        return None


def is_array_kind(kind: type) -> bool:
    """Whether values of this class are arrays: numpy's, torch's, tensorflow's, jax's; not scalars, Series or images."""
    if issubclass(kind, np.ndarray):
        return True
    if issubclass(kind, (np.generic, str, bytes)) or kind.__module__.split(".")[0] in {"pandas", "pyarrow", "polars"}:
        return False
    return all(hasattr(kind, name) for name in ("__array__", "shape", "dtype"))


def _column_of_arrays(values: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
    arrays: list[np.ndarray[Any, Any] | None] = []
    for value in values:
        # Arrays among other things: a bare number is an array without dimensions, the rest stays as it is.
        if value is not None and not is_array_kind(type(value)) and not isinstance(value, (np.generic, *_REALS)):
            return ArrowPythonObjectArray.from_objects(values)
        arrays.append(None if value is None else as_numpy(value))
    present = [array for array in arrays if array is not None]
    if all(array.ndim == 0 for array in present) or all(array.dtype.kind in LIST_KINDS for array in present):
        return column_of_values([None if array is None else array.tolist() for array in arrays])
    column = column_of_tensors(arrays)
    return ArrowPythonObjectArray.from_objects(values) if column is None else column


def as_numpy(value: Any) -> np.ndarray[Any, Any]:
    """An array, or a tensor of another library, as a numpy array.

    Raises:
        ArrowConversionError: if numpy has no such kind of elements.
    """
    # torch's tensors may be on a device or part of a graph; numpy can read neither.
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArrowConversionError(
            f"a value of the type {type(value).__module__}.{type(value).__qualname__}",
            f"numpy cannot read it ({error}). Convert it to a numpy array, or to a kind of element that numpy has, first.",
        ) from error


def column_of_tensors(arrays: Sequence[np.ndarray[Any, Any] | None]) -> pa.Array | None:
    """A tensor column of arrays; None where Arrow has no type for their elements, or they have none in common."""
    present = [array for array in arrays if array is not None]
    if not present or any(array.dtype.kind in LIST_KINDS for array in present):
        return None
    dtypes = {array.dtype for array in present}
    if len(dtypes) > 1 and not all(dtype.kind in "iuf" for dtype in dtypes):
        return None
    if len({array.shape for array in present}) > 1:
        return variable_shaped(arrays)
    if len(present) == len(arrays):
        return column_of_stack(np.stack(present))
    filler = np.zeros_like(present[0])
    null_rows = np.array([array is None for array in arrays])
    return column_of_stack(np.stack([filler if array is None else array for array in arrays]), null_rows)


def column_of_stack(stack: np.ndarray[Any, Any], null_rows: np.ndarray[Any, Any] | None = None) -> pa.Array | None:
    """A tensor column whose rows are those of an array of two dimensions or more; None where Arrow has no type for its elements."""
    values = elements_of(np.ascontiguousarray(stack).reshape(-1))
    if values is None:
        return None
    return fixed_shaped(values, stack.shape[1:], stack.shape[0], null_rows)


def _pandas_missing_kinds() -> set[type]:
    # A value of pandas can only be there if pandas has been imported.
    pandas = sys.modules.get("pandas")
    return set() if pandas is None else {type(pandas.NA), type(pandas.NaT)}
