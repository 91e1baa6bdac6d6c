"""Sinks of files whose format users write themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data._internal.sinks.row_file_sink import RowFileSink
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.whole_file import WholeFileEncoder
from shoal.data.block import BlockAccessor


class RowBasedFileDatasink(RowFileSink):
    """Writes each row to a file of its own, in a format that a subclass knows.

    Example:
        >>> from shoal.data.datasource import RowBasedFileDatasink
        >>> class TextSink(RowBasedFileDatasink):
        ...     def __init__(self, path):
        ...         super().__init__(path, file_format="txt")
        ...     def write_row_to_file(self, row, file):
        ...         file.write(row["text"].encode())

    Args:
        path: the directory: a local path, or a URI such as `s3://bucket/folder`.
        file_format: the extension of the files, without a dot.
        filesystem: of pyarrow or fsspec; None to find it by the path.
        try_create_dir: whether to create the directory where there is none.
        open_stream_args: for `pyarrow.fs.FileSystem.open_output_stream`: 'compression', 'buffer_size' in bytes, 'metadata'.
        filename_provider: what the files are called; None for `{write id}_{task}_000000_{row}.{file_format}`.
        dataset_uuid: a prefix for the default names.
        mode: what to do with what is in the directory already.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        file_format: str | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
    ) -> None:
        super().__init__(
            path,
            file_format=file_format,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=dataset_uuid,
            mode=mode,
        )

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        """Writes one row. To be overridden.

        Args:
            row: plain Python values by column; tensors are numpy arrays.
            file: a `pyarrow.NativeFile` to write to. It is closed for you.
        """
        raise NotImplementedError

    def write_row(self, row: dict[str, Any], stream: Any) -> None:
        """Writes one row."""
        self.write_row_to_file(row, stream)


class BlockBasedFileDatasink(TableFileSink):
    """Writes the rows of each task to one file, in a format that a subclass knows.

    Example:
        >>> from shoal.data.datasource import BlockBasedFileDatasink
        >>> class CSVSink(BlockBasedFileDatasink):
        ...     def __init__(self, path):
        ...         super().__init__(path, file_format="csv")
        ...     def write_block_to_file(self, block, file):
        ...         from pyarrow import csv
        ...         csv.write_csv(block.to_arrow(), file)

    Args:
        path: the directory: a local path, or a URI such as `s3://bucket/folder`.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        file_format: the extension of the files, without a dot.
        filesystem: of pyarrow or fsspec; None to find it by the path.
        try_create_dir: whether to create the directory where there is none.
        open_stream_args: for `pyarrow.fs.FileSystem.open_output_stream`: 'compression', 'buffer_size' in bytes, 'metadata'.
        filename_provider: what the files are called; None for `{write id}_{task}_{number}.{file_format}`.
        dataset_uuid: a prefix for the default names.
        mode: what to do with what is in the directory already.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        file_format: str | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
    ) -> None:
        super().__init__(
            path,
            file_format=file_format,
            min_rows_per_file=min_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=dataset_uuid,
            mode=mode,
        )

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Writes one file. To be overridden.

        Args:
            block: all rows of the file; `block.to_arrow()`, `to_pandas()` and `to_numpy()` give them.
            file: a `pyarrow.NativeFile` to write to. It is closed for you.
        """
        raise NotImplementedError

    @property
    def batch_bytes(self) -> int | None:
        """All rows of a file come at once."""
        return None

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        return WholeFileEncoder(self._write_table, stream)

    def _write_table(self, table: pa.Table, stream: Any) -> None:
        self.write_block_to_file(BlockAccessor.for_block(table), stream)
