"""Parquet files: footers tell columns, rows and sizes; columns and filters are pushed into the reading; tasks are groups of row groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from shoal.data._internal.blocks.combine import unify_schemas
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data._internal.sources.stream_source import listed_files
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, SchemaMismatchError

if TYPE_CHECKING:
    from pyarrow import fs

    from shoal.data.expressions import Expr

_ROWS_A_TABLE = 1 << 20
_LEAST_BATCH = 4096
"""Smaller ones cost more than they save where just a few rows are wanted."""
_FOOTERS_AT_ONCE = 16
_LEAST_TASK_BYTES = 16 * 1024 * 1024
"""A task that reads less costs more than it saves, unless more tasks are asked for."""


class ParquetSource(Source):
    """Parquet files, and directories of them; directories named `name=value` are columns of strings.

    Args:
        paths: files and directories, local or as URIs.
        filesystem: of pyarrow; None to find it by the first path.
        file_extensions: only such files are read, without dots; None for all.
        ignore_missing_paths: whether paths where there is nothing are passed over.
        include_paths: adds the column `path`.
        arrow_parquet_args: arguments of `pyarrow.dataset.Scanner`.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, or no file at all.
    """

    name = "Parquet"

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        columns: Sequence[str] | None = None,
        filesystem: fs.FileSystem | None = None,
        file_extensions: Sequence[str] | None = ("parquet",),
        ignore_missing_paths: bool = False,
        include_paths: bool = False,
        arrow_parquet_args: dict[str, Any] | None = None,
    ) -> None:
        self._filesystem, self._files, self._base = listed_files(
            paths, file_extensions, filesystem, ignore_missing_paths
        )
        self._include_paths = include_paths
        self._scan_args = dict(arrow_parquet_args or {})
        self._predicates: tuple[Expr, ...] = ()
        self._columns: list[str] | None = None
        if columns is not None:
            available = self._whole_schema.names
            for column in columns:
                if column not in available:
                    raise ColumnNotFoundError(column, available, "read_parquet")
            self._columns = list(columns)

    def schema(self) -> pa.Schema:
        whole = self._whole_schema
        return whole if self._columns is None else pa.schema([whole.field(name) for name in self._columns])

    @cached_property
    def _whole_schema(self) -> pa.Schema:
        """Of the first file: the others are looked at when they are read."""
        schema = _footer(self._filesystem, self._files[0].path).schema.to_arrow_schema().remove_metadata()
        for name, _ in _partition_values(self._base, self._files[0].path):
            if name not in schema.names:
                schema = schema.append(pa.field(name, pa.string()))
        return schema.append(pa.field("path", pa.string())) if self._include_paths else schema

    @cached_property
    def _footers(self) -> list[pq.FileMetaData]:
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            return list(pool.map(lambda file: _footer(self._filesystem, file.path), self._files))

    def num_rows(self) -> int | None:
        return None if self._predicates else sum(footer.num_rows for footer in self._footers)

    def size_bytes(self) -> int | None:
        """About: bytes as they are coded, which dictionaries make smaller than in memory; the first file speaks for all."""
        first = self._files[0]
        footer = _footer(self._filesystem, first.path) if "_footers" not in self.__dict__ else self._footers[0]
        names = set(self._columns) if self._columns is not None else None
        coded = _coded_bytes(footer, range(footer.num_row_groups), names)
        share = coded / first.size_bytes if first.size_bytes else 1.0
        return int(sum(file.size_bytes for file in self._files) * share)

    def input_files(self) -> list[str]:
        return [file.path for file in self._files]

    def with_columns(self, columns: list[str]) -> ParquetSource:
        narrow = self._copy()
        narrow._columns = list(columns)
        return narrow

    def with_filter(self, predicate: Expr) -> ParquetSource | None:
        if predicate.to_pyarrow() is None or not predicate.columns() <= set(self._whole_schema.names):
            return None
        if self._include_paths and "path" in predicate.columns():
            return None
        filtered = self._copy()
        filtered._predicates = (*self._predicates, predicate)
        return filtered

    def _copy(self) -> ParquetSource:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        if row_limit is not None and not self._predicates:
            return self._first_tasks(row_limit)
        names = set(self._columns) if self._columns is not None else None
        groups = [
            (file.path, group, footer.row_group(group).num_rows, _coded_bytes(footer, [group], names))
            for file, footer in zip(self._files, self._footers, strict=True)
            for group in range(footer.num_row_groups)
        ]
        total = sum(size for _, _, _, size in groups)
        wanted = max(1, min(parallelism, max(1, total // _LEAST_TASK_BYTES) if parallelism > 1 else 1))
        wanted = max(wanted, min(parallelism, len(groups))) if total > _LEAST_TASK_BYTES else wanted
        tasks: list[ReadTask] = []
        pieces: list[tuple[str, int]] = []
        rows = size = 0
        for path, group, group_rows, group_size in groups:
            pieces.append((path, group))
            rows += group_rows
            size += group_size
            if size >= total / wanted:
                tasks.append(self._task(pieces, rows, size))
                pieces, rows, size = [], 0, 0
        if pieces or not tasks:
            tasks.append(self._task(pieces, rows, size))
        return tasks

    def _first_tasks(self, row_limit: int) -> list[ReadTask]:
        """One task for each of the row groups that have the first rows; no more footers than needed are read."""
        tasks: list[ReadTask] = []
        left = row_limit
        for file in self._files:
            footer = _footer(self._filesystem, file.path)
            for group in range(footer.num_row_groups):
                rows = footer.row_group(group).num_rows
                tasks.append(self._task([(file.path, group)], min(rows, left), 0, left))
                left -= rows
                if left <= 0:
                    return tasks
        return tasks

    def _task(self, pieces: list[tuple[str, int]], rows: int, size: int, limit: int | None = None) -> ReadTask:
        read = partial(
            _read,
            self._filesystem,
            self._base,
            list(pieces),
            self.schema(),
            self._predicates,
            self._whole_schema,
            self._scan_args,
            limit,
        )
        files = list(dict.fromkeys(path for path, _ in pieces))
        metadata = BlockMetadata(None if self._predicates else rows, size, input_files=files)
        return ReadTask(read, metadata, self.schema(), limit)


def _footer(filesystem: fs.FileSystem, path: str) -> pq.FileMetaData:
    try:
        with filesystem.open_input_file(path) as file:
            return pq.read_metadata(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise FileReadError(f"{path} cannot be read as Parquet: {error}") from error


def _coded_bytes(footer: pq.FileMetaData, groups: Any, names: set[str] | None) -> int:
    total = 0
    for group in groups:
        row_group = footer.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if names is None or column.path_in_schema.split(".")[0] in names:
                total += column.total_uncompressed_size
    return total


def _partition_values(base: str, path: str) -> list[tuple[str, str | None]]:
    """Returns names and values of the directories `name=value` below the base."""
    from urllib.parse import unquote

    values: list[tuple[str, str | None]] = []
    for part in path[len(base) :].split("/")[:-1]:
        name, equals, value = part.partition("=")
        if equals:
            values.append((unquote(name), None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)))
    return values


def _read(
    filesystem: fs.FileSystem,
    base: str,
    pieces: list[tuple[str, int]],
    schema: pa.Schema,
    predicates: tuple[Expr, ...],
    whole_schema: pa.Schema,
    scan_args: dict[str, Any],
    limit: int | None,
) -> Iterator[pa.Table]:
    groups: dict[str, list[int]] = {}
    for path, group in pieces:
        groups.setdefault(path, []).append(group)
    if not groups:
        yield schema.empty_table()
    for path, numbers in groups.items():
        try:
            yield from _read_file(filesystem, base, path, numbers, schema, predicates, whole_schema, scan_args, limit)
        except (OSError, pa.ArrowInvalid) as error:
            raise FileReadError(f"{path} cannot be read as Parquet: {error}") from error


def _read_file(
    filesystem: fs.FileSystem,
    base: str,
    path: str,
    numbers: list[int],
    schema: pa.Schema,
    predicates: tuple[Expr, ...],
    whole_schema: pa.Schema,
    scan_args: dict[str, Any],
    limit: int | None,
) -> Iterator[pa.Table]:
    fixed = {**dict(_partition_values(base, path)), "path": path}
    format_ = ds.ParquetFileFormat()
    fragment = format_.make_fragment(path, filesystem).subset(row_group_ids=numbers)
    own = fragment.physical_schema.remove_metadata()
    inside = [name for name in schema.names if name in own.names]
    readable = _readable(own, whole_schema, path)
    condition, late = None, []
    for predicate in predicates:
        if predicate.columns() <= set(own.names):
            part = predicate.to_pyarrow()
            condition = part if condition is None else condition & part
        else:
            late.append(predicate)
    needed = list(dict.fromkeys([*inside, *(n for p in late for n in sorted(p.columns()) if n in own.names)]))
    scanner = fragment.scanner(
        schema=readable,
        columns=needed,
        filter=condition,
        batch_size=_ROWS_A_TABLE if limit is None else max(_LEAST_BATCH, min(_ROWS_A_TABLE, limit)),
        **scan_args,
    )
    made = False
    for batch in scanner.to_batches():
        if batch.num_rows == 0 and made:
            continue
        made = True
        table = pa.Table.from_batches([batch])
        for predicate in late:
            table = table.filter(predicate.evaluate(_with_fixed(table, whole_schema, fixed, own)))
        yield _with_fixed(table, schema, fixed, own)
    if not made:
        yield schema.empty_table()


def _readable(own: pa.Schema, whole: pa.Schema, path: str) -> pa.Schema:
    """The file's columns with the dataset's types; a type that cannot become the dataset's is an error that names the file."""
    fields = []
    for field in own:
        wanted = whole.field(field.name).type if field.name in whole.names else field.type
        if wanted != field.type:
            try:
                unified = unify_schemas([pa.schema([field]), pa.schema([pa.field(field.name, wanted)])])
            except SchemaMismatchError as error:
                raise SchemaMismatchError(f"{path}: {error}") from error
            wanted = unified.field(0).type
        fields.append(pa.field(field.name, wanted))
    return pa.schema(fields)


def _with_fixed(table: pa.Table, schema: pa.Schema, fixed: dict[str, Any], own: pa.Schema) -> pa.Table:
    """The dataset's columns: those of the file, those of its path, and nulls for those that it lacks."""
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(table.column(field.name))
        elif field.name in fixed:
            columns.append(pa.array([fixed[field.name]] * table.num_rows, pa.string()))
        elif field.name in own.names:
            continue
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    names = [f.name for f in schema if f.name in table.column_names or f.name in fixed or f.name not in own.names]
    return pa.table(columns, names=names)
