"""Sinks that write files into a directory: what all of them share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data._internal.sinks.names import check_write_id, checked_filename
from shoal.data._internal.sinks.output import Output
from shoal.data._internal.sinks.save_mode import SaveMode, checked_mode
from shoal.data._internal.sinks.target import resolve_target
from shoal.data._internal.sinks.task_files import TaskFile, TaskFiles, WrittenFile
from shoal.data.block import Block
from shoal.data.exceptions import InvalidArgumentError

_OPEN_STREAM_ARGS = ("compression", "buffer_size", "metadata")


class FileSinkArguments(TypedDict, total=False):
    """Arguments that all sinks of files have; see `FileSink`."""

    filesystem: Any
    try_create_dir: bool
    arrow_open_stream_args: Mapping[str, Any] | None
    filename_provider: FilenameProvider | None
    dataset_uuid: str | None
    mode: SaveMode | str


class FileSink(Datasink[list[WrittenFile]]):
    """Writes files into a directory. Each file appears when it is complete.

    Args:
        path: the directory: a local path, or a URI such as `s3://bucket/folder`.
        file_format: the extension of the files, without a dot.
        filesystem: of pyarrow or fsspec; None to find it by the path.
        try_create_dir: whether to create the directory where there is none.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_output_stream`: 'compression', 'buffer_size' in bytes, 'metadata'.
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
        file_format: str | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
    ) -> None:
        target = resolve_target(path, filesystem)
        self.mode = checked_mode(mode)
        if self.mode is SaveMode.OVERWRITE and target.path in {"", "/"}:
            raise InvalidArgumentError(
                f"path={path!r}, mode=OVERWRITE: this would delete everything there is. Name a directory."
            )
        if filename_provider is not None and not isinstance(filename_provider, FilenameProvider):
            raise InvalidArgumentError(
                f"filename_provider={filename_provider!r}: this is no FilenameProvider. Pass an object of a subclass of it."
            )
        self.path = target.path
        self.filesystem = target.filesystem
        self.file_format = file_format
        self.try_create_dir = try_create_dir
        self.open_stream_args = _checked_open_stream_args(arrow_open_stream_args)
        self.filename_provider = filename_provider or FilenameProvider(dataset_uuid, file_format)
        self._output = Output(target, self.mode, self.filename_provider, try_create_dir)
        self._write_id: str | None = None
        self._skips_write = False
        self._has_begun = False
        self._created_directory = False

    def set_write_id(self, write_id: str) -> None:
        """Names the write."""
        check_write_id(write_id)
        self._write_id = write_id

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Looks at what is there already, and makes the directory ready.

        Raises:
            InvalidArgumentError: if the path is a file, or there are files and the mode allows none.
            FileWriteError: if the directory cannot be created.
        """
        self._skips_write = not self._output.is_wanted(self._write_id)
        if not self._skips_write:
            self._created_directory = self._output.begin(self._write_id)
            self._has_begun = True

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> list[WrittenFile]:
        """Writes the blocks of a task. No file is seen before all of its files are complete.

        Raises:
            FileWriteError: if a file cannot be written; it names it.
        """
        if self._skips_write:
            return []
        check_write_id(ctx.write_id)
        files = TaskFiles(
            self._output.target,
            ctx,
            self.open_stream_args,
            create_directories=self.try_create_dir,
            stage=self.mode is SaveMode.OVERWRITE,
        )
        try:
            self.write_files(blocks, files, ctx)
            return files.commit()
        except BaseException:
            files.discard()
            raise

    @abstractmethod
    def write_files(self, blocks: Iterable[Block], files: TaskFiles, ctx: TaskContext) -> None:
        """Writes the blocks into files, all of which it completes."""

    def on_write_complete(self, write_result: WriteResult[list[WrittenFile]]) -> None:
        """Puts the files in their places if that was left for the end, and removes files of an earlier run of the same write.

        Raises:
            InvalidArgumentError: if two tasks wrote a file of the same name.
            FileWriteError: if a file cannot be renamed or removed.
        """
        if self._skips_write:
            return
        written = [file for files in write_result.write_returns for file in files or ()]
        self._output.finish(self._write_id, written, self._created_directory)

    def on_write_failed(self, error: BaseException) -> None:
        """Removes files that are not complete."""
        if self._has_begun:
            self._output.fail(self._write_id, self._created_directory)

    @property
    def skips_write(self) -> bool:
        """Whether the mode is IGNORE and there are files."""
        return self._skips_write

    @property
    def supports_distributed_writes(self) -> bool:
        """False for paths of the driver's machine ('local://')."""
        return not self._output.target.driver_only

    def create_file(self, files: TaskFiles, block: Block, ctx: TaskContext, directory: str = "") -> TaskFile:
        """Begins the next file of many rows, under the name that the provider gives it.

        Args:
            files: of the task.
            block: rows that begin the file.
            ctx: the task.
            directory: that the file is in, relative to the directory of the write.
        """
        name = self.filename_provider.get_filename_for_block(block, ctx.write_id, ctx.task_index, files.count)
        return files.create(checked_filename(name, self.filename_provider), directory)


def checked_count(name: str, value: Any) -> int | None:
    """A number of rows or bytes.

    Raises:
        InvalidArgumentError: if it is not None and no whole number of one or more.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise InvalidArgumentError(f"{name}={value!r}: use a whole number of 1 or more, or None.")
    return None if value is None else int(value)


def _checked_open_stream_args(arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    for name in arguments or {}:
        if name not in _OPEN_STREAM_ARGS:
            raise InvalidArgumentError(
                f"arrow_open_stream_args: there is no argument {name!r}. There are {', '.join(map(repr, _OPEN_STREAM_ARGS))}."
            )
    return dict(arguments or {})
