"""From blocks to what users see: batches, rows, numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.blocks.objects import is_object_type, object_array
from shoal.data._internal.blocks.tensors import is_tensor_type, tensor_rows, tensors_to_numpy
from shoal.data.exceptions import InvalidArgumentError

BATCH_FORMATS = ("default", "numpy", "pandas", "pyarrow", None)

# Rows are made of so many at a time: enough to make the cost of a slice vanish, few enough for `take(3)`.
_ROWS_AT_ONCE = 4096
_SECONDS_TO_MICROSECONDS = frozenset({"s", "ms", "us"})


def to_batch(table: pa.Table, batch_format: str | None, zero_copy: bool = True) -> Any:
    """A block in the format in which users want their batches.

    Args:
        table: the block.
        batch_format: 'default' or 'numpy' for a dict of arrays, 'pandas' for a DataFrame, 'pyarrow' or None for the table itself.
        zero_copy: whether numpy arrays may be read-only views of the table's memory; otherwise all can be written to. DataFrames can always
            be written to.

    Raises:
        InvalidArgumentError: if there is no such format.
    """
    if batch_format in {"default", "numpy"}:
        arrays = {name: to_numpy(column) for name, column in zip(table.column_names, table.columns, strict=True)}
        if zero_copy:
            return arrays
        return {name: _writable(array) for name, array in arrays.items()}
    if batch_format is None or batch_format == "pyarrow":
        return table
    if batch_format == "pandas":
        return to_pandas(table)
    formats = ", ".join(map(repr, BATCH_FORMATS))
    raise InvalidArgumentError(
        f"batch_format={batch_format!r}: there is no such format of batches. Use one of {formats}."
    )


def to_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yields rows as dicts of plain Python values; tensors are numpy arrays, nulls are None."""
    names = table.column_names
    if not names:
        yield from ({} for _ in range(table.num_rows))
        return
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        columns = [to_values(column) for column in table.slice(start, _ROWS_AT_ONCE).columns]
        yield from map(dict, map(zip, repeat(names), zip(*columns, strict=True)))


def to_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values as plain Python has them: much faster than Arrow's own `to_pylist` for the common types, and the same otherwise."""
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return to_values(column.chunk(0))
        return [value for chunk in column.chunks for value in to_values(chunk)]
    column_type = column.type
    if is_tensor_type(column_type):
        return tensor_rows(column)
    if pa.types.is_dictionary(column_type):
        return to_values(column.dictionary_decode())
    if not _has_fast_values(column_type):
        return column.to_pylist()  # type: ignore[no-any-return]
    if not column.null_count or not _is_number(column_type):
        return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    # numpy has no null for numbers.
    values: list[Any] = (
        column.fill_null(False if pa.types.is_boolean(column_type) else 0).to_numpy(zero_copy_only=False).tolist()
    )
    for index in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
        values[index] = None
    return values


def to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """The values as numpy has them, without a copy where Arrow's memory can be read as it is (then the array is read-only).

    Returns:
        numbers and booleans as they are (with nulls: numbers as floats with NaN, booleans as objects with None); points in time and
        durations as datetime64 and timedelta64 (of a time zone: in UTC); tensors stacked, or as objects where shapes differ; lists as
        objects that are arrays, structs as objects that are dicts; everything else as objects.
    """
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks > 1 and _has_fast_values(column.type):
            return column.to_numpy()  # type: ignore[no-any-return] # (also for more bytes of strings than one chunk can have)
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    column_type = column.type
    if is_tensor_type(column_type):
        return tensors_to_numpy(column)
    if pa.types.is_dictionary(column_type):
        return to_numpy(column.dictionary_decode())
    if pa.types.is_run_end_encoded(column_type):
        return to_numpy(pc.run_end_decode(column))
    if _is_list(column_type):
        return _lists_to_numpy(column)
    if (
        isinstance(column_type, pa.BaseExtensionType)
        or pa.types.is_nested(column_type)
        or pa.types.is_interval(column_type)
    ):
        return object_array(column.to_pylist())
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def to_pandas(table: pa.Table) -> Any:
    """A DataFrame of the block: integers and booleans with nulls get pandas' nullable types, tensors are objects that are arrays."""
    import pandas as pd

    if not table.num_columns:
        return pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    special: dict[int, Any] = {}
    for index, column in enumerate(table.columns):
        convert = _special_series(column)
        if convert is not None:
            special[index] = convert(column)
    plain = [index for index in range(table.num_columns) if index not in special]
    frame = table.select(plain).to_pandas(ignore_metadata=True)
    for index, series in special.items():
        frame.insert(index, table.column_names[index], series, allow_duplicates=True)
    return frame


def _special_series(column: pa.ChunkedArray) -> Callable[[pa.ChunkedArray], Any] | None:
    """How to convert a column that pandas would not show as it is; None for those that Arrow converts well."""
    column_type = column.type
    if is_tensor_type(column_type) or is_object_type(column_type):
        return _objects_series
    if column.null_count and (pa.types.is_integer(column_type) or pa.types.is_boolean(column_type)):
        return _nullable_series
    return None


def _objects_series(column: pa.ChunkedArray) -> Any:
    import pandas as pd

    return pd.Series(object_array(to_values(column)), dtype=object, copy=False)


def _nullable_series(column: pa.ChunkedArray) -> Any:
    import pandas as pd

    if pa.types.is_boolean(column.type):
        nullable: Any = pd.BooleanDtype()
    else:
        nullable = pd.api.types.pandas_dtype(str(column.type).replace("uint", "UInt").replace("int", "Int"))
    return column.to_pandas(types_mapper=lambda _: nullable)


def _writable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype == object:
        return object_array([_writable(value) if isinstance(value, np.ndarray) else value for value in array])
    return array if array.flags.writeable else array.copy()


def _lists_to_numpy(column: pa.Array) -> np.ndarray[Any, Any]:
    """One array for each list. Elements are converted as a column of their own, so a list of lists is an array of arrays."""
    if _has_fast_values(column.type.value_type) and not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return] # the same, made by Arrow
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        values = to_numpy(column.values.slice(column.offset * size, len(column) * size))
        bounds = np.arange(len(column) + 1) * size
    else:
        offsets = column.offsets.to_numpy()
        values = to_numpy(column.values.slice(offsets[0], offsets[-1] - offsets[0]))
        bounds = offsets - offsets[0]
    edges = bounds.tolist()
    arrays: list[Any] = [values[start:end] for start, end in pairwise(edges)]
    for index in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
        arrays[index] = None
    return object_array(arrays)


def _is_list(column_type: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(column_type) or types.is_large_list(column_type) or types.is_fixed_size_list(column_type))


def _is_number(column_type: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(column_type) or types.is_floating(column_type) or types.is_boolean(column_type))


def _has_fast_values(column_type: pa.DataType) -> bool:
    """Whether numpy's `tolist` gives what Arrow's `as_py` gives."""
    types = pa.types
    if _is_number(column_type) or types.is_string(column_type) or types.is_large_string(column_type):
        return True
    if types.is_binary(column_type) or types.is_large_binary(column_type) or types.is_date32(column_type):
        return True
    return bool(
        types.is_timestamp(column_type) and column_type.tz is None and column_type.unit in _SECONDS_TO_MICROSECONDS
    )
