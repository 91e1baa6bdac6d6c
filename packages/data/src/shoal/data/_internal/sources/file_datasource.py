"""Sources of file formats that users write."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.sources.datasource import Datasource, tables_of
from shoal.data._internal.sources.files import FileReader, FileSource, OpenFile
from shoal.data._internal.sources.listing import FileShuffle, ListingArguments
from shoal.data._internal.sources.partitioning import Partitioning, PathPartitionFilter
from shoal.data._internal.sources.paths import Paths, is_local_only
from shoal.data._internal.sources.source import ReadTask

if TYPE_CHECKING:
    from shoal.data.context import DataContext


class FileBasedDatasource(Datasource):
    """A file format of one's own: extend it, override `_read_stream`, and read it with `read_datasource`.

    Args:
        paths: files, directories (read at any depth) and patterns, local or as URIs.
        filesystem: of pyarrow or fsspec; None to find it by the first path.
        schema: of the rows, where it is known.
        open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`: 'compression' (else told by the extension), 'buffer_size' in bytes.
        partition_filter: which files are read, by the columns in their paths.
        partitioning: which directories are columns; None for none.
        ignore_missing_paths: whether paths where there is nothing are passed over.
        shuffle: 'files' or a `FileShuffleConfig` to read files in another order than that of their paths.
        include_paths: adds the column `path`.
        file_extensions: only such files are read, without dots; None for those of `_FILE_EXTENSIONS`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.

    Example:
        >>> import tempfile, pathlib
        >>> import pyarrow as pa
        >>> from shoal.data.datasource import FileBasedDatasource
        >>> class KeyValueDatasource(FileBasedDatasource):
        ...     _FILE_EXTENSIONS = ["ini"]
        ...     def _read_stream(self, f, path):
        ...         pairs = [line.split("=") for line in f.read().decode().splitlines()]
        ...         yield pa.table({"key": [key for key, _ in pairs], "value": [value for _, value in pairs]})
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.ini").write_text("colour=red")
        >>> [task] = KeyValueDatasource(folder).get_read_tasks(1)
        >>> next(task()).to_pylist()
        [{'key': 'colour', 'value': 'red'}]
    """

    _FILE_EXTENSIONS: ClassVar[Sequence[str] | None] = None

    def __init__(
        self,
        paths: Paths,
        *,
        filesystem: Any = None,
        schema: pa.Schema | None = None,
        open_stream_args: Mapping[str, Any] | None = None,
        partition_filter: PathPartitionFilter | None = None,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
        shuffle: FileShuffle = None,
        include_paths: bool = False,
        file_extensions: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._local_only = is_local_only(paths)
        self._source: _Files | None = _Files(
            self,
            paths,
            schema,
            file_extensions=file_extensions if file_extensions is not None else self._FILE_EXTENSIONS,
            filesystem=filesystem,
            arrow_open_stream_args=dict(open_stream_args or {}),
            partition_filter=partition_filter,
            partitioning=partitioning,
            ignore_missing_paths=ignore_missing_paths,
            shuffle=shuffle,
            include_paths=include_paths,
        )

    def _read_stream(self, f: Any, path: str) -> Iterator[Any]:
        """Reads one file. To be overridden; called in tasks.

        Args:
            f: the open file, a `pyarrow.NativeFile`.
            path: of it.

        Yields:
            Blocks: pyarrow Tables, DataFrames, or dicts of arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override _read_stream.")

    def _open_input_source(self, filesystem: fs.FileSystem, path: str, **open_args: Any) -> AbstractContextManager[Any]:
        """Opens one file, as a stream. May be overridden where a format is read at places here and there (`filesystem.open_input_file`)."""
        return OpenFile(arguments=open_args)(filesystem, path)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """Neighbouring files, of about as many bytes, in each task."""
        return self._files.read_tasks(parallelism, per_task_row_limit)

    def estimate_inmemory_data_size(self) -> int | None:
        """As on the disk."""
        return self._files.size_bytes()

    def input_files(self) -> list[str]:
        """Returns the paths of the files, in their order."""
        return self._files.input_files()

    @property
    def supports_distributed_reads(self) -> bool:
        """Whether tasks may run on other machines than the driver's: not for paths that begin with `local://`."""
        return not self._local_only

    @property
    def _files(self) -> _Files:
        assert self._source is not None, "in a task there is no list of files"
        return self._source

    def _without_files(self) -> FileBasedDatasource:
        """For tasks, which are told of their own files only."""
        alone = copy.copy(self)
        alone._source = None
        return alone


class _Files(FileSource):
    def __init__(
        self,
        datasource: FileBasedDatasource,
        paths: Paths,
        schema: pa.Schema | None,
        *,
        file_extensions: Sequence[str] | None,
        **listing: Unpack[ListingArguments],
    ) -> None:
        self.name = datasource.get_name()
        self._datasource = datasource
        self._schema = schema
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def schema(self) -> pa.Schema | None:
        return self._schema

    def reader(self) -> FileReader:
        return partial(_read_blocks, self._datasource._without_files())

    def open_file(self) -> _OpenFile:
        return _OpenFile(self._datasource._without_files(), self._open_args)


@dataclass(frozen=True)
class _OpenFile:
    datasource: FileBasedDatasource
    arguments: Mapping[str, Any]

    def __call__(self, filesystem: fs.FileSystem, path: str) -> AbstractContextManager[Any]:
        return self.datasource._open_input_source(filesystem, path, **self.arguments)


def _read_blocks(datasource: FileBasedDatasource, stream: Any, path: str) -> Iterator[pa.Table]:
    try:
        yield from tables_of(datasource._read_stream(stream, path), f"{type(datasource).__name__}._read_stream")
    except Exception as error:
        error.add_note(f"while {type(datasource).__name__} read {path}")
        raise
