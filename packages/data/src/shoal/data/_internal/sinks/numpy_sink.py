"""Numpy's .npy files."""

from __future__ import annotations

import os
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.convert import to_numpy
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.whole_file import WholeFileEncoder
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError


class NumpySink(TableFileSink):
    """Writes one column to .npy files: in each, an array whose first dimension is the rows of a task.

    Args:
        path: the directory.
        column: its name. Numbers, booleans, strings, points in time, or tensors of one shape, without nulls (of floats: nulls become NaN).
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        column: str,
        min_rows_per_file: int | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format="npy", min_rows_per_file=min_rows_per_file, **arguments)
        if not isinstance(column, str):
            raise InvalidArgumentError(f"column={column!r}: name one column, with a string.")
        self.column = column

    @property
    def batch_bytes(self) -> int | None:
        """The number of rows stands at the beginning of a file."""
        return None

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """As of every sink of files; looks for the column, too.

        Raises:
            ColumnNotFoundError: if it is missing.
        """
        if schema is not None:
            self._check_column(schema)
        super().on_write_start(schema)

    def prepared(self, table: pa.Table) -> pa.Table:
        """The column alone.

        Raises:
            ColumnNotFoundError: if it is missing.
        """
        self._check_column(table.schema)
        return table.select([self.column])

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        return WholeFileEncoder(self._write_file, stream)

    def _write_file(self, table: pa.Table, stream: Any) -> None:
        column = table.column(0)
        array = to_numpy(column)
        if array.dtype == object:
            # Arrays of objects are pickles, which nobody should have to trust.
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            if column.null_count or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InvalidArgumentError(
                    f"write_numpy: column {self.column!r} ({column.type}, {column.null_count} nulls) is no array of one kind of "
                    "elements and one "
                    "shape. Fill nulls, pad or stack its values first, or use write_parquet."
                )
            array = array.astype(np.str_)
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)

    def _check_column(self, schema: pa.Schema) -> None:
        if self.column not in schema.names:
            raise ColumnNotFoundError(self.column, schema.names, "write_numpy(column=)")
