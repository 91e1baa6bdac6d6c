"""JSON files, one row a line."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.convert import to_pandas, to_rows, to_values
from shoal.data._internal.blocks.objects import is_object_type
from shoal.data._internal.blocks.tensors import is_tensor_type
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.whole_file import WholeFileEncoder
from shoal.data.exceptions import InvalidArgumentError


class JSONSink(TableFileSink):
    """Writes JSON files in which each line is an object, the row.

    Numbers keep all their digits; NaN and infinity, which JSON does not have, are null. Points in time are ISO 8601 strings, durations too,
    decimal numbers are strings; tensors are lists of lists.

    Args:
        path: the directory.
        pandas_json_args_fn: gives more of `pandas_json_args`; called in the tasks, for values that cannot be pickled. They win.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        pandas_json_args: for `pandas.DataFrame.to_json`, which then writes the files, in its own way: 'orient' ('records'), 'lines' (True),
            'date_format', 'double_precision', …
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pandas_json_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        pandas_json_args: Mapping[str, Any] | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format="json", min_rows_per_file=min_rows_per_file, **arguments)
        self._arguments = dict(pandas_json_args or {})
        self._arguments_fn = pandas_json_args_fn

    @property
    def batch_bytes(self) -> int | None:
        """All rows of a file at once, where pandas writes it: a document that is no lines cannot be written in parts."""
        return None if self._arguments or self._arguments_fn is not None else super().batch_bytes

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        if self._arguments or self._arguments_fn is not None:
            return WholeFileEncoder(self._write_with_pandas, stream)
        return _LinesEncoder(stream)

    def _write_with_pandas(self, table: pa.Table, stream: Any) -> None:
        given = {**self._arguments, **(self._arguments_fn() if self._arguments_fn is not None else {})}
        arguments = {"orient": "records", "lines": given.get("orient", "records") == "records", **given}
        text = to_pandas(table).to_json(None, **arguments)
        stream.write(text.encode())


class _LinesEncoder:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, table: pa.Table) -> None:
        for field in table.schema:
            _check_no_bytes(field.name, field.type)
        if not table.num_columns:
            self._stream.write(b"{}\n" * table.num_rows)
            return
        if any(is_object_type(field.type) for field in table.schema):
            _write_rows(table, self._stream)
            return
        import polars as pl

        lines = io.BytesIO()
        pl.from_arrow(_without_tensors(table)).write_ndjson(lines)  # type: ignore[union-attr] # a table becomes a frame
        self._stream.write(lines.getbuffer())

    def close(self) -> None:
        """Nothing is left to be written."""

    def abandon(self) -> None:
        """Nothing is left to be written."""


def _without_tensors(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if is_tensor_type(field.type):
            lists = [None if value is None else value.tolist() for value in to_values(table.column(index))]
            try:
                table = table.set_column(index, field.name, pa.array(lists))
            except pa.ArrowInvalid as error:
                raise InvalidArgumentError(
                    f"write_json: column {field.name!r} holds arrays with different numbers of dimensions. Give all of them as many."
                ) from error
        elif pa.types.is_float16(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.float32()))
    return table


def _write_rows(table: pa.Table, stream: Any) -> None:
    """Row by row: values of different kinds in one column are nothing that a table engine has."""
    for row in to_rows(table):
        try:
            line = json.dumps(_plain(row), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except TypeError as error:
            names = [field.name for field in table.schema if is_object_type(field.type)]
            raise InvalidArgumentError(
                f"write_json: of the columns of Python objects {names}, one has a value that JSON does not have ({error}). Convert it to "
                "numbers, strings, lists and dicts."
            ) from error
        stream.write(f"{line}\n".encode())


def _plain(value: Any) -> Any:
    """The value with what JSON has; what it has not stays for the error."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"PT{value.total_seconds()}S"
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value


def _check_no_bytes(name: str, kind: pa.DataType) -> None:
    """Raises an error that names the column if it holds bytes somewhere."""
    types = pa.types
    if (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    ):
        raise InvalidArgumentError(
            f"write_json: column {name!r} has the type {kind}, and JSON has no bytes. Use write_parquet, or decode them to strings first "
            "(base64 for what is no text)."
        )
    if types.is_dictionary(kind):
        _check_no_bytes(name, kind.value_type)
    elif types.is_nested(kind):
        for index in range(kind.num_fields):
            _check_no_bytes(name, kind.field(index).type)
