"""Parquet files: footers tell columns, rows and sizes; columns and filters are pushed into the reading; tasks are runs of row groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.blocks.combine import unify_schemas
from shoal.data._internal.expressions.rewriting import substitute
from shoal.data._internal.sources.file_extensions import PARQUET_EXTENSIONS
from shoal.data._internal.sources.files import PATH_COLUMN, checked_policy, path_fields, path_values, skip_file
from shoal.data._internal.sources.listing import ErrorPolicy, FileSet, FileShuffle, FoundFile
from shoal.data._internal.sources.parquet_footers import Footer, Footers, RowGroup, plain_schema
from shoal.data._internal.sources.parquet_pruning import statistics_condition
from shoal.data._internal.sources.parquet_reading import Piece, ReadRowGroups
from shoal.data._internal.sources.parquet_row_hash import ROW_HASH
from shoal.data._internal.sources.partitioning import Partitioning, PathPartitionFilter
from shoal.data._internal.sources.paths import Paths
from shoal.data._internal.sources.shares import shares
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError
from shoal.data.expressions import Expr, lit

_LEAST_BYTES = 16 << 20
"""Of a task: a smaller one costs more than it saves, unless more tasks are asked for."""
_MOST_BYTES = 128 << 20
_FOOTERS_AT_ONCE = 16
_READER_OPTIONS = frozenset(
    {
        "arrow_extensions_enabled",
        "binary_type",
        "buffer_size",
        "coerce_int96_timestamp_unit",
        "decryption_properties",
        "list_type",
        "page_checksum_verification",
        "pre_buffer",
        "read_dictionary",
        "thrift_container_size_limit",
        "thrift_string_size_limit",
    }
)
_SCANNER_HINTS = frozenset({"batch_readahead", "cache_metadata", "fragment_readahead", "use_pandas_metadata"})
"""Of Arrow's scanner, which has no part in this: rows are the same without them."""

_Group: TypeAlias = tuple[FoundFile, RowGroup]


class ParquetSource(Source):
    """Parquet files.

    The columns are those of the first file, then those of paths. Files that have others, or other types, are unified with it when all are
    read: what a file does not have is null in its rows.

    Args:
        paths: files, directories (read at any depth) and patterns, local or as URIs.
        columns: just these, in this order; None for all.
        schema: the columns and types of the files, where the first file does not have them right.
        filesystem: of pyarrow or fsspec; None to find it by the first path.
        file_extensions: only such files are read; None for all.
        partitioning: which directories are columns. A column that the first file has itself is not taken from directories.
        partition_filter: which files are read, by the columns in their paths.
        include_paths: adds the column `path`.
        include_row_hash: adds the column `row_hash`; see `row_hashes`.
        ignore_missing_paths: whether paths where there is nothing are passed over.
        shuffle: 'files' or a `FileShuffleConfig` to read files in another order than that of their paths.
        on_error: 'raise', or 'skip' to pass over a file that cannot be read; see `ReadRowGroups.skipped_files`.
        skip_paths: files and directories that are not read.
        arrow_parquet_args: `filter` (an expression of Arrow), `batch_size` (rows of a table), `use_threads`, and arguments of
            `pyarrow.parquet.ParquetFile`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        ColumnNotFoundError: if one of `columns` is not there.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "Parquet"

    def __init__(
        self,
        paths: Paths,
        *,
        columns: Sequence[str] | None = None,
        schema: pa.Schema | None = None,
        filesystem: Any = None,
        file_extensions: Sequence[str] | None = PARQUET_EXTENSIONS,
        partitioning: Partitioning | None = Partitioning("hive"),  # noqa: B008  it is immutable
        partition_filter: PathPartitionFilter | None = None,
        include_paths: bool = False,
        include_row_hash: bool = False,
        ignore_missing_paths: bool = False,
        shuffle: FileShuffle = None,
        on_error: ErrorPolicy = "raise",
        skip_paths: Paths | None = None,
        arrow_parquet_args: Mapping[str, Any] | None = None,
    ) -> None:
        options = {name: value for name, value in (arrow_parquet_args or {}).items() if name not in _SCANNER_HINTS}
        self._arrow_filter: pc.Expression | None = options.pop("filter", None)
        self._batch_rows: int | None = options.pop("batch_size", None)
        self._use_threads: bool = options.pop("use_threads", True)
        self._given_schema: pa.Schema | None = options.pop("schema", schema)
        if unknown := sorted(options.keys() - _READER_OPTIONS):
            raise InvalidArgumentError(
                f"read_parquet has no argument {unknown[0]!r}. It takes filter, batch_size, use_threads, schema, and "
                f"of pyarrow.parquet.ParquetFile {', '.join(sorted(_READER_OPTIONS))}."
            )
        if isinstance(columns, str):
            raise InvalidArgumentError(f"columns={columns!r}: use a list: [{columns!r}].")
        self._options = options
        self._files = FileSet.found(
            paths,
            filesystem=filesystem,
            file_extensions=file_extensions,
            partitioning=partitioning,
            partition_filter=partition_filter,
            ignore_missing_paths=ignore_missing_paths,
            shuffle=shuffle,
            skip_paths=skip_paths,
        )
        self._include_paths = include_paths
        self._include_row_hash = include_row_hash
        self._unreadable: list[str] = []
        self.on_error: ErrorPolicy = checked_policy(on_error)
        """May be set before anything is read."""
        self._footers = Footers(self._files.filesystem)
        self._predicates: tuple[Expr, ...] = ()
        self._columns: list[str] | None = None
        if columns is not None:
            available = self.schema().names
            for column in columns:
                if column not in available:
                    raise ColumnNotFoundError(column, available, "read_parquet")
            self._columns = list(dict.fromkeys(columns))

    # --- what is known --------------------------------------------------------------------------------------------------------

    def schema(self) -> pa.Schema:
        """As the first file has it."""
        whole = self._schema_of([self._first()])
        return whole if self._columns is None else pa.schema([whole.field(name) for name in self._columns])

    def num_rows(self) -> int | None:
        files = self._kept_files(self._files.files)
        if self._row_predicates() or self._arrow_filter is not None:
            return None
        return sum(footer.num_rows for _, footer in self._readable(files))

    def size_bytes(self) -> int | None:
        """About; the first file speaks for all, and rows that a filter leaves out count."""
        footer, first = self._first(), self._first_file()
        coded = sum(group.coded_bytes for group in footer.row_groups())
        on_disk = sum(file.size_bytes for file in self._kept_files(self._files.files))
        return (
            int(on_disk * coded * footer.memory_ratio(self._wanted()) / first.size_bytes) if first.size_bytes else coded
        )

    def input_files(self) -> list[str]:
        return [file.path for file in self._files.files]

    # --- what is pushed into it -----------------------------------------------------------------------------------------------

    def with_columns(self, columns: list[str]) -> ParquetSource:
        narrow = self._copy()
        narrow._columns = list(columns)
        return narrow

    def with_filter(self, predicate: Expr) -> ParquetSource | None:
        if predicate.to_pyarrow() is None or not predicate.columns() <= set(self._schema_of([self._first()]).names):
            return None
        filtered = self._copy()
        filtered._predicates = (*self._predicates, predicate)
        return filtered

    def _copy(self) -> ParquetSource:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    # --- tasks ----------------------------------------------------------------------------------------------------------------

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        """Runs of row groups, of 16 to 128 MiB in memory; more and smaller ones where `parallelism` and row groups are more.

        Args:
            parallelism: how many are wanted at least (1 or more); as many as there are row groups where those are fewer.
            row_limit: no footers and row groups are read beyond those that have so many rows, where no filter is left to the reading.
        """
        files = self._kept_files(self._files.in_order().files)
        predicates = self._row_predicates()
        counted = row_limit is not None and not predicates and self._arrow_filter is None
        if counted and row_limit is not None:
            read = list(self._first_readable(files, row_limit))
        else:
            read = list(self._readable(files))
        schema = self._schema_of([footer for _, footer in read] or [self._first()], [file.path for file, _ in read])
        for column in self._columns or []:
            if column not in schema.names:
                raise ColumnNotFoundError(column, schema.names, "read_parquet")
        groups = [
            (file, group) for file, footer in read for group in footer.row_groups(self._condition(file, footer, schema))
        ]
        if counted and row_limit is not None:
            groups = _up_to(groups, row_limit)
        ratio = (read[0][1] if read else self._first()).memory_ratio(self._wanted())
        sizes = [int(group.coded_bytes * ratio) for _, group in groups]
        total = sum(sizes)
        count = max(min(parallelism, len(groups)), -(-total // _MOST_BYTES))
        if counted:
            count = min(count, max(1, total // _LEAST_BYTES))
        tasks = []
        left = row_limit
        for share in shares(sizes, count) or [range(0)]:
            rows = sum(groups[place][1].num_rows for place in share)
            task = self._task(
                [groups[place] for place in share], [sizes[place] for place in share], schema, predicates, left
            )
            tasks.append(task)
            if counted and left is not None:
                left = max(0, left - rows)
        return tasks

    def _task(
        self,
        groups: list[_Group],
        sizes: list[int],
        schema: pa.Schema,
        predicates: Sequence[Expr],
        row_limit: int | None,
    ) -> ReadTask:
        columns = self._columns if self._columns is not None else schema.names
        looked_at = set(columns).union(*(predicate.columns() for predicate in predicates))
        needed = schema if self._arrow_filter is not None else _narrowed(schema, looked_at)
        pieces = _pieces(groups, sizes)
        read = ReadRowGroups(
            filesystem=self._files.filesystem,
            pieces=pieces,
            schema=needed,
            columns=columns,
            path_fields=_narrowed(self._path_fields(), set(needed.names)),
            predicates=predicates,
            arrow_filter=self._arrow_filter,
            include_row_hash=self._include_row_hash and ROW_HASH in needed,
            options=self._options,
            batch_rows=self._batch_rows,
            use_threads=self._use_threads,
            row_limit=row_limit,
            on_error=self.on_error,
        )
        rows: int | None = sum(group.num_rows for _, group in groups)
        if predicates or self._arrow_filter is not None or self.on_error == "skip":
            rows = None
        elif rows is not None and row_limit is not None:
            rows = min(rows, row_limit)
        metadata = BlockMetadata(rows, sum(sizes), input_files=[piece.file.path for piece in pieces])
        return ReadTask(read, metadata, pa.schema([schema.field(name) for name in columns]), row_limit)

    # --- files and footers ----------------------------------------------------------------------------------------------------

    def skipped_files(self) -> list[str]:
        return list(self._unreadable)

    def _first(self) -> Footer:
        return self._footers.of(self._first_file().path)

    def _first_file(self) -> FoundFile:
        files = self._files.files
        if self.on_error == "skip":
            for file in files:
                try:
                    self._footers.of(file.path)
                except FileReadError:
                    continue  # `_readable` tells of it
                return file
        return files[0]

    def _readable(self, files: Sequence[FoundFile]) -> Iterator[tuple[FoundFile, Footer]]:
        self._footers.read([file.path for file in files])
        for file in files:
            try:
                footer = self._footers.of(file.path)
            except FileReadError as error:
                if self.on_error == "raise":
                    raise
                if file.path not in self._unreadable:
                    skip_file(file.path, error, self._unreadable)
            else:
                yield file, footer

    def _first_readable(self, files: Sequence[FoundFile], row_limit: int) -> Iterator[tuple[FoundFile, Footer]]:
        """Yields files until they have so many rows. Reads several footers at a time, once it is known how many rows files have."""
        place, rows, together = 0, 0, 1
        while place < len(files) and rows < row_limit:
            for file, footer in self._readable(files[place : place + together]):
                rows += footer.num_rows
                yield file, footer
            place += together
            per_file = rows // place
            together = min(_FOOTERS_AT_ONCE, max(1, (row_limit - rows) // per_file)) if per_file else _FOOTERS_AT_ONCE

    def _kept_files(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        """The files whose paths are no reason to leave them out."""
        fields = self._path_fields()
        decided = [predicate for predicate in self._predicates if predicate.columns() <= set(fields.names)]
        if not decided:
            return list(files)
        kept = []
        for file in files:
            row = pa.table(
                {name: pa.array([value.as_py()], value.type) for name, value in path_values(file, fields).items()}
            )
            if all(predicate.evaluate(row)[0].as_py() is True for predicate in decided):
                kept.append(file)
        return kept

    def _row_predicates(self) -> list[Expr]:
        """Those that paths alone do not decide."""
        names = set(self._path_fields().names)
        return [predicate for predicate in self._predicates if not predicate.columns() <= names]

    def _condition(self, file: FoundFile, footer: Footer, schema: pa.Schema) -> pc.Expression | None:
        values = {name: lit(value.as_py()) for name, value in path_values(file, self._path_fields()).items()}
        predicates = [substitute(predicate, values) for predicate in self._row_predicates()]
        condition = statistics_condition(predicates, footer.schema, schema)
        if self._arrow_filter is None:
            return condition
        return self._arrow_filter if condition is None else condition & self._arrow_filter

    # --- columns --------------------------------------------------------------------------------------------------------------

    def _path_fields(self) -> pa.Schema:
        """Columns that come from paths, as the first file does not have them."""
        if not len(self._files.value_fields) and not self._include_paths:
            return pa.schema([])
        own = self._given_schema if self._given_schema is not None else self._first().schema
        if self._include_paths and PATH_COLUMN in own.names:
            raise SchemaMismatchError(
                f"{self._first_file().path} has a column 'path' itself. Leave include_paths out, or rename that column."
            )
        return pa.schema(
            [field for field in path_fields(self._files, self._include_paths) if field.name not in own.names]
        )

    def _schema_of(self, footers: Sequence[Footer], paths: Sequence[str] = ()) -> pa.Schema:
        """All columns of these files, and those of paths."""
        from_paths = self._path_fields()
        numbered = [ROW_HASH] if self._include_row_hash else []
        if self._given_schema is not None:
            return pa.schema([*plain_schema(self._given_schema), *from_paths, *numbered])
        whole = footers[0].schema
        for place, footer in enumerate(footers):
            if repeated := next((name for name in footer.schema.names if footer.schema.names.count(name) > 1), None):
                where = paths[place] if paths else self._first_file().path
                raise SchemaMismatchError(
                    f"{where} has more than one column {repeated!r}. Read it with pyarrow, and rename one."
                )
            if numbered and ROW_HASH.name in footer.schema.names:
                where = paths[place] if paths else self._first_file().path
                raise SchemaMismatchError(
                    f"{where} has a column {ROW_HASH.name!r} itself. Leave include_row_hash out, or rename that column."
                )
            try:
                whole = unify_schemas([whole, footer.schema])
            except SchemaMismatchError as error:
                raise SchemaMismatchError(f"{paths[place]} does not fit to the files before it: {error}") from error
        return pa.schema([*(field for field in whole if field.name not in from_paths.names), *from_paths, *numbered])

    def _wanted(self) -> frozenset[str] | None:
        if self._columns is None or self._arrow_filter is not None:
            return None
        return frozenset(self._columns).union(*(predicate.columns() for predicate in self._predicates))


def _narrowed(schema: pa.Schema, names: set[str]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name in names])


def _up_to(groups: Sequence[_Group], row_limit: int) -> list[_Group]:
    """The first row groups that have so many rows."""
    kept, rows = [], 0
    for file, group in groups:
        if rows >= row_limit:
            break
        kept.append((file, group))
        rows += group.num_rows
    return kept


def _pieces(groups: Sequence[_Group], sizes: Sequence[int]) -> list[Piece]:
    """Neighbouring row groups of a file, together."""
    pieces: list[Piece] = []
    for (file, group), size in zip(groups, sizes, strict=True):
        if pieces and pieces[-1].file is file:
            last = pieces.pop()
            numbers, rows, bytes_ = last.row_groups, last.num_rows, last.num_bytes
        else:
            numbers, rows, bytes_ = (), (), ()
        pieces.append(Piece(file, (*numbers, group.number), (*rows, group.num_rows), (*bytes_, size)))
    return pieces
