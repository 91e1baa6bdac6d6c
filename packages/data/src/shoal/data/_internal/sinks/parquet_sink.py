"""Parquet files."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.data._internal.blocks.objects import is_object_type
from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments, checked_count
from shoal.data._internal.sinks.names import checked_filename
from shoal.data._internal.sinks.partitions import check_partition_columns
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.task_files import TaskFile, TaskFiles
from shoal.data.block import Block
from shoal.data.exceptions import InvalidArgumentError

_OWN_ARGUMENTS = frozenset({"schema", "row_group_size", "partitioning_flavor"})


class ParquetSink(TableFileSink):
    """Writes Parquet files. A row group holds about 64 MiB of memory, unless `row_group_size` says how many rows.

    Args:
        path: the directory.
        partition_cols: columns that become directories `column=value`, the outermost first, and are not in the files. Nulls are in
            `__HIVE_DEFAULT_PARTITION__`.
        arrow_parquet_args_fn: gives more of `arrow_parquet_args`; called in the tasks, for values that cannot be pickled. They win.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        max_rows_per_file: the most rows of a file.
        min_bytes_per_file: the fewest bytes, in memory, that a file gets, as long as there are so many; instead of numbers of rows.
        arrow_parquet_args: what `pyarrow.parquet.write_table` takes ('compression', 'row_group_size', …); 'schema', to which all data is
            cast; 'partitioning_flavor': 'hive', or None for directories `value`.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        partition_cols: Sequence[str] | str | None = None,
        arrow_parquet_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        min_bytes_per_file: int | None = None,
        arrow_parquet_args: Mapping[str, Any] | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        stream_args = dict(arguments.pop("arrow_open_stream_args", None) or {})
        own_args = dict(arrow_parquet_args or {})
        if "compression" in stream_args:
            # A Parquet file is compressed inside: compressed as a whole, nothing could read it.
            own_args.setdefault("compression", stream_args.pop("compression"))
        arguments["arrow_open_stream_args"] = {**stream_args, "compression": None}
        super().__init__(
            path,
            file_format="parquet",
            min_rows_per_file=min_rows_per_file,
            max_rows_per_file=max_rows_per_file,
            **arguments,
        )
        self.min_bytes_per_file = checked_count("min_bytes_per_file", min_bytes_per_file)
        if min_bytes_per_file is not None and (min_rows_per_file is not None or max_rows_per_file is not None):
            raise InvalidArgumentError(
                "min_bytes_per_file: it cannot be used with min_rows_per_file or max_rows_per_file. Give bytes or rows."
            )
        if min_rows_per_file is not None and max_rows_per_file is not None and min_rows_per_file > max_rows_per_file:
            raise InvalidArgumentError(
                f"min_rows_per_file={min_rows_per_file}: it is more than max_rows_per_file={max_rows_per_file}."
            )
        self.partition_cols = _checked_partition_cols(partition_cols)
        self._arguments = own_args
        self._arguments_fn = arrow_parquet_args_fn
        self.partition_names_columns = _is_hive(own_args)
        if "partitioning_flavor" in own_args and not self.partition_cols:
            raise InvalidArgumentError(
                "partitioning_flavor: there is nothing to partition by. Give partition_cols as well."
            )
        _check_parquet_arguments(own_args)
        self._resolved: dict[str, Any] | None = None

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """As of every sink of files; looks for the partition columns, too.

        Raises:
            ColumnNotFoundError: if a partition column is missing.
        """
        if schema is not None:
            check_partition_columns(schema, self.partition_cols, "write_parquet(partition_cols=)")
        super().on_write_start(schema)

    def write_files(self, blocks: Any, files: TaskFiles, ctx: TaskContext) -> None:
        """Writes the blocks of a task."""
        resolved = {**self._arguments, **(self._arguments_fn() if self._arguments_fn is not None else {})}
        _check_parquet_arguments(resolved)
        self._resolved = resolved
        self.partition_names_columns = _is_hive(resolved)
        super().write_files(blocks, files, ctx)

    def prepared(self, table: pa.Table) -> pa.Table:
        """The table, in the user's schema if there is one.

        Raises:
            InvalidArgumentError: if Parquet has no type for a column, or there is no column.
        """
        if not table.num_columns:
            raise InvalidArgumentError(
                "write_parquet: the dataset has rows but no columns, and Parquet counts rows by columns. Keep one."
            )
        for field in table.schema:
            if is_object_type(field.type):
                raise InvalidArgumentError(
                    f"write_parquet: column {field.name!r} holds Python objects, for which Parquet has no type. Convert it to numbers, "
                    "strings, "
                    "lists, dicts or arrays of one kind, or drop it."
                )
        schema = (self._resolved or {}).get("schema")
        if schema is None:
            return table
        schema = pa.schema([field for field in schema if field.name not in self.partition_cols], schema.metadata)
        missing = [name for name in schema.names if name not in table.column_names]
        if missing or len(schema.names) != table.num_columns:
            raise InvalidArgumentError(
                f"write_parquet: the schema has the columns {schema.names}, the dataset {table.column_names}. Name the same columns."
            )
        return table.select(schema.names).cast(schema)

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        arguments = {name: value for name, value in (self._resolved or {}).items() if name not in _OWN_ARGUMENTS}
        try:
            return _ParquetEncoder(pq.ParquetWriter(stream, schema, **arguments), self.batch_rows)
        except pa.ArrowNotImplementedError as error:
            raise InvalidArgumentError(
                f"write_parquet: Parquet cannot hold the columns as they are: {error}"
            ) from error

    def create_file(self, files: TaskFiles, block: Block, ctx: TaskContext, directory: str = "") -> TaskFile:
        """Begins a file.

        Raises:
            InvalidArgumentError: if files of an earlier write would be replaced because names are the same for all writes.
        """
        name = self.filename_provider.get_filename_for_block(block, ctx.write_id, ctx.task_index, files.count)
        name = checked_filename(name, self.filename_provider)
        if self.mode is SaveMode.APPEND and ctx.write_id not in name:
            raise InvalidArgumentError(
                f"filename_provider={type(self.filename_provider).__name__}: the name {name!r} does not contain the id of the write, so "
                "a later "
                "write would replace this file. Use `write_uuid` in it, or mode='overwrite'."
            )
        if not name.endswith(".parquet"):
            name += ".parquet"
        return files.create(name, directory)

    @property
    def batch_rows(self) -> int | None:
        """The size of a row group, where the user says it."""
        return (self._resolved or self._arguments).get("row_group_size")

    @property
    def min_bytes_per_write(self) -> int | None:
        """As many as a file is to have."""
        return self.min_bytes_per_file


class _ParquetEncoder:
    def __init__(self, writer: pq.ParquetWriter, row_group_rows: int | None) -> None:
        self._writer = writer
        self._row_group_rows = row_group_rows

    def write(self, table: pa.Table) -> None:
        # One batch is one row group: the limit of a million rows that pyarrow has by itself would cut small rows into small groups.
        self._writer.write_table(table, self._row_group_rows or table.num_rows)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        # Otherwise it writes the footer when it is collected.
        self._writer.is_open = False


def _checked_partition_cols(columns: Sequence[str] | str | None) -> list[str]:
    names = [columns] if isinstance(columns, str) else list(columns or ())
    for name in names:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"partition_cols={columns!r}: names of columns are strings, {name!r} is none.")
    if len(set(names)) < len(names):
        raise InvalidArgumentError(f"partition_cols={columns!r}: a column is named twice. Name each once.")
    return names


def _is_hive(arguments: Mapping[str, Any]) -> bool:
    flavor: str | None = arguments.get("partitioning_flavor", "hive")
    if flavor not in {"hive", None}:
        raise InvalidArgumentError(
            f"partitioning_flavor={flavor!r}: use 'hive' for directories `column=value`, or None for `value`."
        )
    return flavor == "hive"


def _check_parquet_arguments(arguments: Mapping[str, Any]) -> None:
    known = (
        set(inspect.signature(pq.write_table).parameters) - {"table", "where", "filesystem", "kwargs"} | _OWN_ARGUMENTS
    )
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise InvalidArgumentError(
                f"write_parquet: there is no argument {name!r}.{hint} See pyarrow.parquet.write_table."
            )
    checked_count("row_group_size", arguments.get("row_group_size"))
