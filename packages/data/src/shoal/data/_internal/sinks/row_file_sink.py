"""Sinks that write each row to a file of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.file_sink import FileSink
from shoal.data._internal.sinks.names import checked_filename
from shoal.data._internal.sinks.task_files import TaskFiles
from shoal.data.block import Block


class RowFileSink(FileSink):
    """Writes each row to a file of its own."""

    @abstractmethod
    def write_row(self, row: dict[str, Any], stream: Any) -> None:
        """Writes one row.

        Args:
            row: plain Python values; tensors are numpy arrays.
            stream: a `pyarrow.NativeFile` that is not to be closed.
        """

    def write_files(self, blocks: Iterable[Block], files: TaskFiles, ctx: TaskContext) -> None:
        """Writes the blocks of a task."""
        provider = self.filename_provider
        for block in blocks:
            for row in to_rows(block):
                name = provider.get_filename_for_row(row, ctx.write_id, ctx.task_index, 0, files.count)
                with files.create(checked_filename(name, provider)) as file:
                    self.write_row(row, file.stream)
