"""Sources of formats that are read file by file, each from its beginning to its end."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, Unpack

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.blocks.combine import concat, size_bytes, slice_rows, split_bytes, unify_schemas
from shoal.data._internal.sources.listing import ErrorPolicy, FileSet, FoundFile, ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data._internal.sources.shares import shares
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

PATH_COLUMN = "path"

_MOST_BYTES = 128 << 20
"""Of a table."""
_FEW_BYTES = 16 << 20
"""Smaller tables are put together: a table for each of thousands of small files would cost more than reading them."""
READ_FAULTS = (
    OSError,
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowSerializationError,
    pa.ArrowIndexError,
    pa.ArrowKeyError,
)
"""What reading a damaged file raises. Not that memory is short, or that somebody wants to stop."""
_logger = logging.getLogger("shoal.data")

FileReader: TypeAlias = Callable[[Any, str], Iterator[pa.Table]]
OpensFile: TypeAlias = Callable[[fs.FileSystem, str], AbstractContextManager[Any]]


class FileSource(Source):
    """Files of a format, each read from its beginning to its end.

    Args:
        paths: files, directories (read at any depth) and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        filesystem: of pyarrow or fsspec; None to find it by the first path.
        arrow_open_stream_args: for `FileSystem.open_input_stream`: 'compression' (else told by the extension), 'buffer_size' in bytes.
        partition_filter: which files are read, by the columns in their paths.
        partitioning: which directories are columns; None for none.
        include_paths: adds the column `path`.
        ignore_missing_paths: whether paths where there is nothing are passed over.
        shuffle: 'files' or a `FileShuffleConfig` to read files in another order than that of their paths.
        on_error: 'raise', or 'skip' to pass over a file that cannot be read; see `ReadFiles.skipped_files`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    rows_per_file: ClassVar[int | None] = None
    """Where all files of the format have so many."""
    needs_seek: ClassVar[bool] = False
    """Whether the format is read at places here and there, not as a stream."""
    is_compressible: ClassVar[bool] = True
    """Whether an extension such as .gz means a compressed file of the format."""

    def __init__(
        self, paths: Paths, *, file_extensions: Sequence[str] | None, **listing: Unpack[ListingArguments]
    ) -> None:
        self._files = FileSet.found(
            paths,
            filesystem=listing.get("filesystem"),
            file_extensions=file_extensions,
            partitioning=listing.get("partitioning"),
            partition_filter=listing.get("partition_filter"),
            ignore_missing_paths=listing.get("ignore_missing_paths", False),
            shuffle=listing.get("shuffle"),
        )
        self._include_paths = listing.get("include_paths", False)
        self._open_args = dict(listing.get("arrow_open_stream_args") or {})
        self.on_error: ErrorPolicy = checked_policy(listing.get("on_error", "raise"))
        """May be set before `read_tasks`."""

    @abstractmethod
    def reader(self) -> FileReader:
        """Returns what yields the tables of a file, given an open stream and the path. Picklable."""

    def open_file(self) -> OpensFile:
        """Returns what opens a file, given the file system and the path. Picklable."""
        return OpenFile(self.needs_seek, self.is_compressible, self._open_args)

    def schema(self) -> pa.Schema | None:
        return None

    def num_rows(self) -> int | None:
        if self.rows_per_file is None or self.on_error == "skip":
            return None
        return self.rows_per_file * len(self._files.files)

    def size_bytes(self) -> int | None:
        """As on the disk."""
        return sum(file.size_bytes for file in self._files.files)

    def input_files(self) -> list[str]:
        return [file.path for file in self._files.files]

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        """Neighbouring files, of about as many bytes, in each task."""
        files = self._files.in_order().files
        if row_limit is not None and self.rows_per_file is not None and self.on_error == "raise":
            files = files[: max(1, -(-row_limit // self.rows_per_file))]
        tasks = []
        for share in shares([file.size_bytes for file in files], parallelism):
            own = tuple(files[place] for place in share)
            read = ReadFiles(
                filesystem=self._files.filesystem,
                files=own,
                reader=self.reader(),
                fields=self._path_fields(),
                open_file=self.open_file(),
                row_limit=row_limit,
                on_error=self.on_error,
            )
            metadata = BlockMetadata(
                num_rows=self._rows_of(own, row_limit),
                size_bytes=sum(file.size_bytes for file in own),
                input_files=[file.path for file in own],
            )
            tasks.append(ReadTask(read, metadata, self.schema(), row_limit))
        return tasks

    def _rows_of(self, files: Sequence[FoundFile], row_limit: int | None) -> int | None:
        if self.rows_per_file is None or self.on_error == "skip":
            return None
        rows = self.rows_per_file * len(files)
        return rows if row_limit is None else min(rows, row_limit)

    def _path_fields(self) -> pa.Schema:
        return path_fields(self._files, self._include_paths)


@dataclass(frozen=True)
class OpenFile:
    """How files are opened. Picklable.

    Args:
        needs_seek: whether at any place, or as a stream.
        is_compressible: whether the extension tells a compression.
        arguments: for `FileSystem.open_input_stream`.
    """

    needs_seek: bool = False
    is_compressible: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, filesystem: fs.FileSystem, path: str) -> AbstractContextManager[Any]:
        """Returns an open file.

        Raises:
            FileReadError: if it cannot be opened.
        """
        try:
            if self.needs_seek:
                return filesystem.open_input_file(path)  # type: ignore[no-any-return]
            compression = "detect" if self.is_compressible else None
            return filesystem.open_input_stream(  # type: ignore[no-any-return]
                path, **{"compression": compression, **self.arguments}
            )
        except (OSError, pa.ArrowInvalid) as error:
            raise FileReadError(f"{path} cannot be opened: {error}") from error
        except TypeError as error:
            raise InvalidArgumentError(f"arrow_open_stream_args={dict(self.arguments)!r}: {error}") from error


@dataclass
class ReadFiles:
    """Reads some files, one after the other. Picklable; what a `ReadTask` calls.

    Args:
        filesystem: that they are in.
        files: which.
        reader: of one file.
        fields: the columns that paths give.
        open_file: opens one.
        row_limit: rows after which no more is read.
        on_error: what is done about a file that cannot be read. Rows that came before the fault stay.
        skipped_files: after reading, the files that could not be read.
    """

    filesystem: fs.FileSystem
    files: Sequence[FoundFile]
    reader: FileReader
    fields: pa.Schema
    open_file: OpensFile = field(default_factory=OpenFile)
    row_limit: int | None = None
    on_error: ErrorPolicy = "raise"
    skipped_files: list[str] = field(default_factory=list)

    def __call__(self) -> Iterator[pa.Table]:
        """Yields the tables of the files in order, none of them large.

        Raises:
            FileReadError: if a file cannot be read.
        """
        self.skipped_files.clear()
        return merged(limited(self._tables(), self.row_limit))

    def _tables(self) -> Iterator[pa.Table]:
        schema = pa.schema([])
        for file in self.files:
            tables = self._tables_of(file)
            for table in tables if self.on_error == "raise" else unless_faulty(tables, file.path, self.skipped_files):
                complete = with_path_columns(table, file, self.fields)
                schema = widened(schema, complete, file.path)
                yield complete

    def _tables_of(self, file: FoundFile) -> Iterator[pa.Table]:
        try:
            with self.open_file(self.filesystem, file.path) as stream:
                yield from self.reader(stream, file.path)
        except FileReadError:
            raise
        except READ_FAULTS as error:
            raise FileReadError(f"{file.path} cannot be read: {error}") from error


def checked_policy(on_error: object) -> ErrorPolicy:
    """Returns the policy.

    Raises:
        InvalidArgumentError: if there is no such policy.
    """
    if on_error == "raise":
        return "raise"
    if on_error == "skip":
        return "skip"
    raise InvalidArgumentError(f"on_error={on_error!r}: use 'raise' or 'skip'.")


def skip_file(path: str, error: FileReadError, skipped: list[str]) -> None:
    """Notes that a file is passed over."""
    _logger.warning("%s (passed over, as on_error='skip')", error)
    skipped.append(path)


def unless_faulty(tables: Iterator[pa.Table], path: str, skipped: list[str]) -> Iterator[pa.Table]:
    """Yields the tables of a file, up to where it cannot be read; then it is noted."""
    try:
        yield from tables
    except FileReadError as error:
        skip_file(path, error, skipped)


def path_fields(files: FileSet, include_paths: bool) -> pa.Schema:
    """Returns the columns that paths give: partitions, and the path itself."""
    return files.value_fields.append(pa.field(PATH_COLUMN, pa.string())) if include_paths else files.value_fields


def path_values(file: FoundFile, fields: pa.Schema) -> dict[str, pa.Scalar]:
    """Returns the values of these columns for a file."""
    known = {PATH_COLUMN: file.path, **file.values} if PATH_COLUMN in fields.names else file.values
    return {column.name: pa.scalar(known.get(column.name), column.type) for column in fields}


def with_path_columns(table: pa.Table, file: FoundFile, fields: pa.Schema) -> pa.Table:
    """Returns the table with the columns that its path gives. A column that the file has itself stays as it is.

    Raises:
        SchemaMismatchError: if paths are asked for, and the file has a column `path`.
    """
    rows = table.num_rows
    for name, value in path_values(file, fields).items():
        if name not in table.column_names:
            table = table.append_column(pa.field(name, value.type), pa.repeat(value, rows))
        elif name == PATH_COLUMN and PATH_COLUMN not in file.values:
            raise SchemaMismatchError(
                f"{file.path} has a column 'path' itself. Leave include_paths out, or rename that column."
            )
    return table


def widened(schema: pa.Schema, table: pa.Table, path: str) -> pa.Schema:
    """Returns the schema that also holds the rows of a table.

    Raises:
        SchemaMismatchError: if there is none; it names the file and the field.
    """
    if not table.num_rows:
        return schema
    try:
        return unify_schemas([schema, table.schema]) if len(schema) else table.schema
    except SchemaMismatchError as error:
        raise SchemaMismatchError(f"{path} does not fit to what has been read before it: {error}") from error


def limited(tables: Iterator[pa.Table], row_limit: int | None) -> Iterator[pa.Table]:
    """Yields tables up to a number of rows, and asks for none after that."""
    if row_limit is None:
        yield from tables
        return
    left = row_limit
    while left > 0 and (table := next(tables, None)) is not None:
        yield slice_rows(table, 0, left) if table.num_rows > left else table
        left -= table.num_rows


def merged(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yields the same rows in tables that are neither very small nor very large."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        table_bytes = size_bytes(table)
        if waiting and size + table_bytes > _MOST_BYTES:
            yield concat(waiting)
            waiting, size = [], 0
        if table_bytes >= _FEW_BYTES and not waiting:
            yield from split_bytes(table, _MOST_BYTES)
            continue
        waiting.append(table)
        size += table_bytes
        if size >= _FEW_BYTES:
            yield from split_bytes(concat(waiting), _MOST_BYTES)
            waiting, size = [], 0
    if waiting:
        yield concat(waiting)
