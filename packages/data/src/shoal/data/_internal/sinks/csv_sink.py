"""CSV files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import pyarrow as pa
from pyarrow import csv

from shoal.data._internal.blocks.objects import is_object_type
from shoal.data._internal.blocks.tensors import is_tensor_type
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data.exceptions import InvalidArgumentError

_WRITE_OPTIONS = frozenset({"include_header", "batch_size", "delimiter", "quoting_style", "quoting_header", "eol"})
_CALL_ARGUMENTS = frozenset({"write_options", "memory_pool"})


class CSVSink(TableFileSink):
    """Writes CSV files, each with a header.

    Args:
        path: the directory.
        arrow_csv_args_fn: gives more of `arrow_csv_args`; called in the tasks, for values that cannot be pickled. They win.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        arrow_csv_args: 'write_options', a `pyarrow.csv.WriteOptions`; or the options by themselves: 'include_header', 'delimiter',
            'quoting_style', 'batch_size' in rows.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        arrow_csv_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        arrow_csv_args: Mapping[str, Any] | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format="csv", min_rows_per_file=min_rows_per_file, **arguments)
        self._arguments = dict(arrow_csv_args or {})
        self._arguments_fn = arrow_csv_args_fn
        _write_options(self._arguments)

    def prepared(self, table: pa.Table) -> pa.Table:
        """The table, with columns that CSV can hold.

        Raises:
            InvalidArgumentError: if it cannot hold one; it names the column and says what to do.
        """
        if not table.num_columns:
            raise InvalidArgumentError("write_csv: the dataset has rows but no columns. Keep one.")
        for index, field in enumerate(table.schema):
            advice = _advice(field.type)
            if advice is not None:
                raise InvalidArgumentError(
                    f"write_csv: column {field.name!r} has the type {field.type}, which has no place in a CSV file. {advice}"
                )
            plain = _plain_type(field.type)
            if plain != field.type:
                table = table.set_column(index, field.name, table.column(index).cast(plain))
        return table

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        arguments = {**self._arguments, **(self._arguments_fn() if self._arguments_fn is not None else {})}
        options = _write_options(arguments)
        return _CSVEncoder(
            csv.CSVWriter(stream, schema, write_options=options, memory_pool=arguments.get("memory_pool"))
        )


class _CSVEncoder:
    def __init__(self, writer: csv.CSVWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        """What is collected without being closed writes nothing more."""


def _write_options(arguments: Mapping[str, Any]) -> csv.WriteOptions:
    """The options of `pyarrow.csv`."""
    for name in arguments:
        if name not in _WRITE_OPTIONS | _CALL_ARGUMENTS:
            known = ", ".join(map(repr, sorted(_WRITE_OPTIONS | _CALL_ARGUMENTS)))
            raise InvalidArgumentError(f"write_csv: there is no argument {name!r}. There are {known}.")
    single = {name: value for name, value in arguments.items() if name in _WRITE_OPTIONS}
    options = arguments.get("write_options")
    if options is not None and single:
        raise InvalidArgumentError(
            f"write_csv: write_options= and {', '.join(single)}= exclude each other. Put all of them into write_options."
        )
    try:
        return csv.WriteOptions(**single) if options is None else options
    except (pa.ArrowInvalid, TypeError, ValueError) as error:
        raise InvalidArgumentError(f"write_csv: {single}: {error}") from error


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _advice(kind: pa.DataType) -> str | None:
    """What to do with a column that CSV cannot hold; None if it can."""
    types = pa.types
    value_type = kind.value_type if types.is_dictionary(kind) else kind
    if is_tensor_type(value_type):
        return "Use write_parquet or write_numpy, or make columns of numbers of it first."
    if is_object_type(value_type):
        return "Convert its values to strings or numbers first, or drop it."
    if types.is_nested(value_type):
        return "Use write_parquet or write_json, or make a string of each value first (json.dumps)."
    if types.is_binary(value_type) or types.is_large_binary(value_type) or types.is_fixed_size_binary(value_type):
        return "Use write_parquet, or decode the bytes to strings first (base64 for what is no text)."
    return None
