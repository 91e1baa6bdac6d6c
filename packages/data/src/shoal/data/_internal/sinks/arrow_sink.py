"""Arrow IPC files."""

from __future__ import annotations

import os
from typing import Any, Literal, Unpack

import pyarrow as pa
from pyarrow import ipc

from shoal.data._internal.blocks.objects import is_object_type
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data.exceptions import InvalidArgumentError


class ArrowSink(TableFileSink):
    """Writes Arrow IPC files ('Feather'), which can be mapped into memory.

    Args:
        path: the directory.
        compression: of the buffers: 'lz4', 'zstd', or None, which keeps files mappable.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        max_rows_per_file: the most rows of a file.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        compression: Literal["lz4", "zstd"] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(
            path,
            file_format="arrow",
            min_rows_per_file=min_rows_per_file,
            max_rows_per_file=max_rows_per_file,
            **arguments,
        )
        if compression not in {"lz4", "zstd", None}:
            raise InvalidArgumentError(f"compression={compression!r}: Arrow files have 'lz4', 'zstd' or None.")
        self._compression = compression

    def prepared(self, table: pa.Table) -> pa.Table:
        """The table itself.

        Raises:
            InvalidArgumentError: if a column holds Python objects.
        """
        for field in table.schema:
            if is_object_type(field.type):
                raise InvalidArgumentError(
                    f"column {field.name!r} holds Python objects, for which Arrow files have no type. Convert it to numbers, strings, "
                    "lists, dicts "
                    "or arrays of one kind, or drop it."
                )
        return table

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        # Dictionaries may differ from batch to batch; a file has one, or the differences to the one before.
        options = ipc.IpcWriteOptions(compression=self._compression, unify_dictionaries=True)
        return _ArrowEncoder(ipc.new_file(stream, schema, options=options))


class _ArrowEncoder:
    def __init__(self, writer: ipc.RecordBatchFileWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        """What is collected without being closed writes nothing more."""
