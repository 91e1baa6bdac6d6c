"""How the files of a write are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.data.block import Block


class FilenameProvider:
    """Gives the files of a write their names.

    A name must be a function of the arguments alone: a write that is killed and run again then replaces its own files. It should contain
    `write_uuid`, otherwise later writes to the same directory replace files of earlier ones.

    Override `get_filename_for_task`; the names of single files are made of it by appending running numbers. A `{i}` in it is where the
    number goes. Or override one of the other two.

    Example:
        >>> from shoal.data.datasource import FilenameProvider
        >>> class Named(FilenameProvider):
        ...     def get_filename_for_task(self, write_uuid, task_index):
        ...         return f"cats_{write_uuid}_{task_index}.png"
        >>> Named().get_filename_for_row({}, write_uuid="w", task_index=3, block_index=0, row_index=7)
        'cats_w_3_000000_000007.png'

    Args:
        dataset_uuid: a prefix for all names.
        file_format: the extension, without a dot ('parquet').
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self.dataset_uuid = dataset_uuid
        self.file_format = file_format

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """The name that all files of a task share.

        Args:
            write_uuid: of the write: the same when the same write is run again.
            task_index: of the task, from 0, in the order of the rows.
        """
        prefix = f"{self.dataset_uuid}_" if self.dataset_uuid is not None else ""
        extension = f".{self.file_format}" if self.file_format is not None else ""
        return f"{prefix}{write_uuid}_{task_index:06}{extension}"

    def get_filename_for_block(self, block: Block | None, write_uuid: str, task_index: int, block_index: int) -> str:
        """The name of a file of many rows.

        Args:
            block: rows that begin the file, or None.
            write_uuid: of the write.
            task_index: of the task.
            block_index: of the file within the task, from 0.
        """
        return _numbered(self.get_filename_for_task(write_uuid, task_index), f"{block_index:06}")

    def get_filename_for_row(
        self, row: Mapping[str, Any], write_uuid: str, task_index: int, block_index: int, row_index: int
    ) -> str:
        """The name of a file of one row.

        Args:
            row: the row.
            write_uuid: of the write.
            task_index: of the task.
            block_index: always 0.
            row_index: of the row within the task, from 0.
        """
        return _numbered(self.get_filename_for_task(write_uuid, task_index), f"{block_index:06}_{row_index:06}")


def _numbered(name: str, number: str) -> str:
    if "{i}" in name:
        return name.replace("{i}", number)
    # The last dot begins the extension, as in Ray; an earlier one may be part of an id.
    base, dot, extension = name.rpartition(".")
    return f"{base}_{number}.{extension}" if dot else f"{name}_{number}"
