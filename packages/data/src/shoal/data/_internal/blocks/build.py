"""Making blocks: of rows, of batches, of single columns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.elements import elements_of
from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.values import (
    LIST_KINDS,
    as_numpy,
    column_of_stack,
    column_of_values,
    is_array_kind,
)
from shoal.data.exceptions import BatchTypeError

# Arrow's plain strings have 32-bit offsets.
_STRING_BYTES = 1 << 31
_BATCH_TYPES = "a dict of columns (arrays or lists), a pandas or polars DataFrame, or a pyarrow Table or RecordBatch"


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table of rows. Columns come in the order in which rows first name them; what a row does not name is null.

    Args:
        rows: mappings of column names to values.

    Raises:
        BatchTypeError: if a row is no mapping, or a column's name no string.
        ArrowConversionError: if a value can be neither held by Arrow nor pickled; it names the column.
    """
    if not rows:
        return pa.table({})
    names, columns = _transposed(rows)
    for name in names:
        if not isinstance(name, str):
            raise BatchTypeError(
                f"a row has the column name {name!r} of the type {type(name).__name__}; names are strings: use {str(name)!r}."
            )
    if not names:
        return table_without_columns(len(rows))
    return pa.table(
        [_named(name, column_of_values, values) for name, values in zip(names, columns, strict=True)], names
    )


def table_of_batch(batch: Any, stage: str) -> pa.Table:
    """A table of what a function of batches returned.

    Args:
        batch: a dict of columns (numpy arrays, lists, Series, Arrow arrays), a pandas or polars DataFrame (an index is left out, and NaN is
            null, as pandas means it), a pyarrow Table or RecordBatch. Arrays are not copied: they must not be changed afterwards.
        stage: whose batch it is, for errors ('map_batches(normalise)').

    Raises:
        BatchTypeError: if it is something else, columns differ in length, or names are no strings or repeated.
        ArrowConversionError: if a value can be neither held by Arrow nor pickled; it names the column.
    """
    if isinstance(batch, pa.Table):
        return _with_distinct_names(batch, stage)
    if isinstance(batch, pa.RecordBatch):
        return _with_distinct_names(pa.Table.from_batches([batch]), stage)
    if isinstance(batch, Mapping):
        return _table_of_columns(batch, stage)
    if _is_pandas_frame(batch):
        return _table_of_frame(batch, stage)
    if hasattr(batch, "__arrow_c_stream__") and not isinstance(batch, (pa.ChunkedArray, pa.Array)):
        return _with_distinct_names(_table_of_stream(batch), stage)
    raise BatchTypeError(f"{stage}: a batch is {_BATCH_TYPES}, but this is {_described(batch)}.{_fix(batch)}")


def array_of(values: Any) -> pa.Array | pa.ChunkedArray:
    """A column of values.

    Args:
        values: a numpy array (of two dimensions and more: its rows become tensors), a list or another sequence, a pandas or polars Series,
            a torch tensor, an Arrow array. A numpy array is not copied where Arrow can use its memory.

    Raises:
        ArrowConversionError: if a value can be neither held by Arrow nor pickled, or `values` has no length.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, np.ndarray):
        return _array_of_numpy(values)
    if isinstance(values, (list, tuple)):
        return column_of_values(values)
    if _is_pandas_series(values):
        return _array_of_series(values)
    if hasattr(values, "to_arrow"):  # polars' Series, cuDF's
        return _with_plain_strings(values.to_arrow())
    if is_array_kind(type(values)):
        return _array_of_numpy(as_numpy(values))
    if isinstance(values, Collection) and not isinstance(values, (str, bytes, Mapping)):
        return column_of_values(list(values))
    raise ArrowConversionError(
        f"{str(values)[:50]!r} of the type {type(values).__name__}",
        "a column is an array or a list, with one value for each row. Use [value] for a single row.",
    )


def table_without_columns(num_rows: int) -> pa.Table:
    """A table that has rows and no columns. Arrow forgets how many when it slices or concatenates; the functions of `combine` do not."""
    return pa.table({"": pa.nulls(num_rows)}).select([])


def _transposed(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Sequence[Any]]]:
    """Names of columns, and the values of each."""
    kinds = set(map(type, rows))
    for kind in kinds:
        if not issubclass(kind, Mapping):
            raise BatchTypeError(
                f"a row is a dict of column names to values, but one of them is a {kind.__name__}. Return {{'item': value}} instead."
            )
    names = list(rows[0])
    # Nearly always all rows have the same names; other kinds of dict might invent a value where one has none.
    if kinds == {dict} and names and set(map(len, rows)) == {len(names)}:
        try:
            return names, [list(map(itemgetter(name), rows)) for name in names]
        except KeyError:
            names = []  # a row has as many names, but other ones
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    return names, [[row.get(name) for row in rows] for name in names]


def _table_of_columns(batch: Mapping[str, Any], stage: str) -> pa.Table:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, values in batch.items():
        if not isinstance(name, str):
            raise BatchTypeError(
                f"{stage}: the batch has the column name {name!r} of the type {type(name).__name__}; names are strings: "
                f"use {str(name)!r}."
            )
        if not _has_rows(values):
            raise BatchTypeError(
                f"{stage}: column {name!r} of the batch is {_described(values)}; a column is an array or a list with one value for "
                "each row. Use [value] for a batch of one row."
            )
        columns[name] = _named(name, array_of, values)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r}: {length}" for name, length in list(lengths.items())[:20])
        raise BatchTypeError(f"{stage}: the columns of a batch have one length, but here they have {shown} rows.")
    return pa.table(columns)


def _table_of_frame(frame: Any, stage: str) -> pa.Table:
    names = [str(name) for name in frame.columns]
    if not names:
        return table_without_columns(len(frame))
    columns = [_named(name, _array_of_series, frame.iloc[:, index]) for index, name in enumerate(names)]
    return _with_distinct_names(pa.table(columns, names), stage)


def _array_of_series(series: Any) -> pa.Array | pa.ChunkedArray:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        # pandas' functions give NaN for what is missing, so it is null here; numpy's NaN is a number.
        if dtype.kind == "f":
            return pa.array(series.to_numpy(), from_pandas=True) if dtype.isnative else pa.array(series.astype("f8"))
        values = series.to_numpy()
        return _array_of_objects(values) if dtype.kind == "O" else _array_of_numpy(values)
    if str(dtype).startswith("Sparse"):
        return _array_of_series(series.sparse.to_dense())
    if getattr(dtype, "tz", None) is not None and hasattr(dtype, "unit"):
        # Arrow asks such a series for `values`, which pandas from 3.1 on warns of.
        return pa.array(series.dt.tz_convert(None)).cast(pa.timestamp(dtype.unit, str(dtype.tz)))
    array = pa.array(series, from_pandas=True)
    return _with_plain_strings(array) if not isinstance(array.type, pa.BaseExtensionType) else array


def _array_of_objects(values: np.ndarray[Any, Any]) -> pa.Array | pa.ChunkedArray:
    listed = values.tolist()
    if float in (kinds := set(map(type, listed))) and any(kind not in {float, int, type(None)} for kind in kinds):
        # pandas' and numpy's object columns have NaN where a string or another object is missing.
        listed = [None if isinstance(value, float) and value != value else value for value in listed]
    return column_of_values(listed)


def _array_of_numpy(values: np.ndarray[Any, Any]) -> pa.Array | pa.ChunkedArray:
    if values.ndim == 0:
        raise ArrowConversionError(
            f"the array {values!r}",
            "it has no dimensions, and a column has a value for each row. Use array.reshape(1) for a single row.",
        )
    if values.dtype.kind == "O":
        return _array_of_objects(values) if values.ndim == 1 else column_of_values(list(values))
    column = elements_of(values) if values.ndim == 1 else column_of_stack(values)
    if column is not None:
        return column
    # complex, structured, and strings in more than one dimension
    return column_of_values(values.tolist() if values.dtype.kind in LIST_KINDS else list(values))


def _table_of_stream(batch: Any) -> pa.Table:
    table = pa.table(batch.to_arrow() if hasattr(batch, "to_arrow") else batch)
    for index, field in enumerate(table.schema):
        column = _with_plain_strings(table.column(index))
        if column.type != field.type:
            table = table.set_column(index, field.name, column)
    return table


def _with_plain_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """pandas and polars make large strings of all strings: types would change along the way."""
    plain = {
        pa.large_string(): pa.string(),
        pa.large_binary(): pa.binary(),
        pa.string_view(): pa.string(),
        pa.binary_view(): pa.binary(),
    }
    target = plain.get(column.type)
    if target is None or column.nbytes >= _STRING_BYTES:
        return column
    return column.cast(target)


def _with_distinct_names(table: pa.Table, stage: str) -> pa.Table:
    names = table.column_names
    if len(set(names)) == len(names):
        return table
    repeated = next(name for name in names if names.count(name) > 1)
    raise BatchTypeError(f"{stage}: the batch has more than one column {repeated!r}; rename one of them.")


def _named(name: str, convert: Callable[[Any], pa.Array | pa.ChunkedArray], values: Any) -> pa.Array | pa.ChunkedArray:
    """The column, or an error that names it."""
    try:
        return convert(values)
    except ArrowConversionError as error:
        raise error.of_column(name) from error.__cause__


def _has_rows(values: Any) -> bool:
    if isinstance(values, (str, bytes, Mapping)):
        return False
    return getattr(values, "ndim", 1) > 0 and hasattr(values, "__len__")


def _is_pandas_frame(value: Any) -> bool:
    # What is pandas' can only be there if pandas has been imported.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _is_pandas_series(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (pandas.Series, pandas.Index))


def _described(value: Any) -> str:
    if value is None:
        return "None"
    return f"{str(value)[:60]!r} of the type {type(value).__module__}.{type(value).__qualname__}"


def _fix(batch: Any) -> str:
    if batch is None:
        return " Does the function end without `return`?"
    if isinstance(batch, np.ndarray):
        return " Return {'data': array}."
    if isinstance(batch, (list, tuple)):
        return " Return {'item': values}, or use map or flat_map for functions of rows."
    return ""
