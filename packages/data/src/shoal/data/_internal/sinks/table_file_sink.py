"""Sinks that write many rows to each file."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.file_roller import FileEncoder, FileRoller
from shoal.data._internal.sinks.file_sink import FileSink, FileSinkArguments, checked_count
from shoal.data._internal.sinks.partitions import check_partition_columns, partitioned
from shoal.data._internal.sinks.task_files import TaskFile, TaskFiles
from shoal.data.block import Block

# Large enough for the encoders to work well, small enough to hold a few.
_BATCH_BYTES = 64 << 20
# A partition that was not written to for so long gets a new file when it comes again.
_OPEN_PARTITIONS = 128


class TableFileSink(FileSink):
    """Writes the rows of a task, as a stream, into one or more files.

    Args:
        path: the directory.
        file_format: the extension of the files.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        max_rows_per_file: the most rows of a file.
        arguments: those of every `FileSink`.
    """

    partition_cols: Sequence[str] = ()
    """Columns that become directories."""
    partition_names_columns: bool = True
    """Whether such a directory is called `column=value`, or just `value`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        file_format: str | None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format=file_format, **arguments)
        self.min_rows_per_file = checked_count("min_rows_per_file", min_rows_per_file)
        self.max_rows_per_file = checked_count("max_rows_per_file", max_rows_per_file)

    @abstractmethod
    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file.

        Args:
            stream: to write to; a `pyarrow.NativeFile` that is not to be closed.
            schema: of the tables that will come.
        """

    def prepared(self, table: pa.Table) -> pa.Table:
        """The rows as the format can hold them.

        Raises:
            InvalidArgumentError: if it cannot; it names the column.
        """
        return table

    @property
    def batch_bytes(self) -> int | None:
        """How much an encoder gets at a time; None if it needs all rows of a file at once."""
        return _BATCH_BYTES

    @property
    def batch_rows(self) -> int | None:
        """Of how many rows, or a multiple, the batches for the encoder should be."""
        return None

    @property
    def min_rows_per_write(self) -> int | None:
        """As many as a file is to have."""
        return self.min_rows_per_file

    def write_files(self, blocks: Iterable[Block], files: TaskFiles, ctx: TaskContext) -> None:
        """Writes the blocks, each row into the directory of its partition."""
        rollers = _Rollers(self, files, ctx)
        try:
            for block in blocks:
                if not block.num_rows:
                    continue
                if not self.partition_cols:
                    rollers.of("").add(self.prepared(block))
                    continue
                check_partition_columns(block.schema, self.partition_cols, f"write_{self.file_format}(partition_cols=)")
                for directory, rows in partitioned(block, self.partition_cols, hive=self.partition_names_columns):
                    rollers.of(directory).add(self.prepared(rows))
            rollers.close()
        except BaseException:
            rollers.abandon()
            raise


class _Rollers:
    """The roller of each partition that is being written."""

    def __init__(self, sink: TableFileSink, files: TaskFiles, ctx: TaskContext) -> None:
        self._sink = sink
        self._files = files
        self._ctx = ctx
        self._by_directory: OrderedDict[str, FileRoller] = OrderedDict()

    def of(self, directory: str) -> FileRoller:
        if directory in self._by_directory:
            self._by_directory.move_to_end(directory)
            return self._by_directory[directory]
        if len(self._by_directory) >= _OPEN_PARTITIONS:
            oldest = next(iter(self._by_directory))
            self._by_directory[oldest].close()
            del self._by_directory[oldest]
        sink = self._sink

        def open_file(batch: pa.Table) -> FileEncoder:
            file = sink.create_file(self._files, batch, self._ctx, directory)
            return _EncodedFile(file, sink.encoder(file.stream, batch.schema))

        roller = FileRoller(
            open_file, max_rows=sink.max_rows_per_file, batch_bytes=sink.batch_bytes, batch_rows=sink.batch_rows
        )
        self._by_directory[directory] = roller
        return roller

    def close(self) -> None:
        for roller in self._by_directory.values():
            roller.close()

    def abandon(self) -> None:
        for roller in self._by_directory.values():
            roller.abandon()


class _EncodedFile:
    """An encoder, and the file that it writes to."""

    def __init__(self, file: TaskFile, encoder: FileEncoder) -> None:
        self._file = file
        self._encoder = encoder

    def write(self, table: pa.Table) -> None:
        self._file.guard(self._encoder.write, table)

    def close(self) -> None:
        self._file.guard(self._encoder.close)
        self._file.close()

    def abandon(self) -> None:
        self._encoder.abandon()
