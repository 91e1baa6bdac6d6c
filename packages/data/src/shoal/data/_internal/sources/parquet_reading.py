"""Reading row groups of Parquet files, in a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from shoal.data._internal.blocks.build import table_without_columns
from shoal.data._internal.blocks.unify import cast_column
from shoal.data._internal.sources.files import READ_FAULTS, limited, merged, path_values, unless_faulty
from shoal.data._internal.sources.listing import ErrorPolicy, FoundFile
from shoal.data._internal.sources.parquet_row_hash import ROW_HASH, row_hashes
from shoal.data.exceptions import FileReadError, SchemaMismatchError
from shoal.data.expressions import Expr

_AT_ONCE_BYTES = 64 << 20
"""Row groups up to this size are decoded together; a larger one is decoded in batches."""
_FEW_ROWS = 10_000
"""Up to so many rows are decoded alone, where no more are wanted."""


@dataclass(frozen=True)
class Piece:
    """Row groups of a file.

    Args:
        file: which.
        row_groups: their numbers.
        num_rows: of each.
        num_bytes: of each, about, in memory.
    """

    file: FoundFile
    row_groups: tuple[int, ...]
    num_rows: tuple[int, ...]
    num_bytes: tuple[int, ...]


@dataclass
class ReadRowGroups:
    """Reads pieces of files, one after the other. Picklable; what a `ReadTask` calls.

    Args:
        filesystem: that the files are in.
        pieces: in order.
        schema: of the dataset: all columns that are read, also those that only predicates look at.
        columns: that are given, in this order.
        path_fields: columns of the schema that come from paths, whatever a file has.
        predicates: rows are given for which all are true.
        arrow_filter: one more predicate, of Arrow's.
        include_row_hash: whether `row_hash` is one of the columns.
        options: of `pyarrow.parquet.ParquetFile`.
        batch_rows: rows of a table at most; None to choose.
        use_threads: whether columns are decoded in parallel.
        in_driver: whether polars decodes what it can, with the memory and the processors that it takes.
        row_limit: rows after which no more is read.
        on_error: what is done about a file that cannot be read. Rows that came before the fault stay.
        skipped_files: after reading, the files that could not be read.
    """

    filesystem: fs.FileSystem
    pieces: Sequence[Piece]
    schema: pa.Schema
    columns: Sequence[str]
    path_fields: pa.Schema
    predicates: Sequence[Expr] = ()
    arrow_filter: pc.Expression | None = None
    include_row_hash: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_rows: int | None = None
    use_threads: bool = True
    in_driver: bool = False
    row_limit: int | None = None
    on_error: ErrorPolicy = "raise"
    skipped_files: list[str] = field(default_factory=list)

    def __call__(self) -> Iterator[pa.Table]:
        """Yields tables with the columns, in the order of the pieces; one without rows, if there is nothing else.

        Raises:
            FileReadError: if a file cannot be read.
            SchemaMismatchError: if a file's column cannot have the dataset's type.
        """
        self.skipped_files.clear()
        empty = True
        for table in merged(limited(self._tables(), self.row_limit)):
            empty = False
            yield table
        if empty:
            yield self.schema.empty_table().select(list(self.columns))

    def _tables(self) -> Iterator[pa.Table]:
        for piece in self.pieces:
            path = piece.file.path
            tables = self._tables_of(piece)
            for table in tables if self.on_error == "raise" else unless_faulty(tables, path, self.skipped_files):
                selected = self._selected(self._conformed(table, piece.file))
                if selected.num_rows:
                    yield selected

    def _tables_of(self, piece: Piece) -> Iterator[pa.Table]:
        """Yields all rows, with the columns that the file has of those that are wanted."""
        options = {"pre_buffer": not isinstance(self.filesystem, fs.LocalFileSystem), **self.options}
        path = piece.file.path
        try:
            with self.filesystem.open_input_file(path) as opened:
                file = pq.ParquetFile(opened, **options)
                own = set(file.schema_arrow.names)
                names = [name for name in self.schema.names if name in own and name not in self.path_fields.names]
                table = self._decoded_by_polars(file, names, piece)
                tables = self._decoded(file, names, piece) if table is None else [table]
                yield from self._with_row_hashes(tables, file, piece) if self.include_row_hash else tables
        except READ_FAULTS as error:
            raise FileReadError(f"{path} cannot be read as Parquet: {error}") from error

    def _with_row_hashes(self, tables: Iterable[pa.Table], file: pq.ParquetFile, piece: Piece) -> Iterator[pa.Table]:
        counts = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        hashes = row_hashes(piece.file.path, counts, piece.row_groups)
        start = 0
        for table in tables:
            yield table.append_column(ROW_HASH, pa.array(hashes[start : start + table.num_rows]))
            start += table.num_rows

    def _decoded_by_polars(self, file: pq.ParquetFile, names: Sequence[str], piece: Piece) -> pa.Table | None:
        """Returns all rows of the piece; None where Arrow does it: for other types, many bytes, few rows, and options of its own."""
        groups = piece.row_groups
        is_plain = self.in_driver and self.use_threads and not self.options and self.batch_rows is None
        is_run = list(groups) == list(range(groups[0], groups[0] + len(groups))) if groups else False
        if not (is_plain and is_run and names and isinstance(self.filesystem, fs.LocalFileSystem)):
            return None
        if sum(piece.num_bytes) > _AT_ONCE_BYTES or sum(piece.num_rows) < _FEW_ROWS or self.row_limit is not None:
            return None
        from shoal.data._internal.sources import polars_decoding

        if not polars_decoding.can_decode(file.schema_arrow, names):
            return None
        first = sum(file.metadata.row_group(number).num_rows for number in range(groups[0]))
        return polars_decoding.decoded(piece.file.path, names, first, sum(piece.num_rows))

    def _decoded(self, file: pq.ParquetFile, names: Sequence[str], piece: Piece) -> Iterator[pa.Table]:
        if not names:
            yield table_without_columns(sum(piece.num_rows))
            return
        few = self.row_limit is not None and self.row_limit <= _FEW_ROWS and not self._filters
        for numbers, rows, size in _together(piece):
            batch_rows = self.batch_rows
            if few:
                batch_rows = self.row_limit
            elif size > 2 * _AT_ONCE_BYTES:
                batch_rows = min(batch_rows or rows, max(1, rows * _AT_ONCE_BYTES // size))
            if batch_rows is None or batch_rows >= rows:
                # A name with a dot stands for a field inside a struct as well: `select` leaves out what is too much.
                yield file.read_row_groups(numbers, columns=names, use_threads=self.use_threads).select(names)
                continue
            batches = file.iter_batches(batch_rows, row_groups=numbers, columns=names, use_threads=self.use_threads)
            for batch in batches:
                yield pa.Table.from_batches([batch]).select(names)

    @property
    def _filters(self) -> bool:
        return bool(self.predicates) or self.arrow_filter is not None

    def _conformed(self, table: pa.Table, file: FoundFile) -> pa.Table:
        """The columns of the schema: those of the file with the dataset's types, those of its path, nulls for those it does not have."""
        from_path = path_values(file, self.path_fields)
        columns = []
        for wanted in self.schema:
            name = wanted.name
            if name in from_path:
                columns.append(pa.repeat(from_path[name], table.num_rows))
            elif name in table.column_names:
                columns.append(_cast(table.column(name), wanted, file.path))
            elif file.values.get(name) is not None:
                columns.append(
                    _cast(pa.chunked_array([pa.repeat(file.values[name], table.num_rows)]), wanted, file.path)
                )
            else:
                columns.append(pa.nulls(table.num_rows, wanted.type))
        return pa.table(columns, schema=self.schema) if columns else table.select([])

    def _selected(self, table: pa.Table) -> pa.Table:
        if self.arrow_filter is not None:
            table = table.filter(self.arrow_filter)
        if self.predicates:
            mask = self.predicates[0].evaluate(table)
            for predicate in self.predicates[1:]:
                mask = pc.and_kleene(mask, predicate.evaluate(table))
            table = table.filter(mask)
        return table if self.columns == table.column_names else table.select(list(self.columns))


def _together(piece: Piece) -> Iterator[tuple[list[int], int, int]]:
    """Yields numbers of neighbouring row groups that are decoded together, with their rows and bytes."""
    numbers: list[int] = []
    rows = size = 0
    for number, group_rows, group_size in zip(piece.row_groups, piece.num_rows, piece.num_bytes, strict=True):
        if numbers and size + group_size > _AT_ONCE_BYTES:
            yield numbers, rows, size
            numbers, rows, size = [], 0, 0
        numbers.append(number)
        rows += group_rows
        size += group_size
    if numbers:
        yield numbers, rows, size


def _cast(column: pa.ChunkedArray, wanted: pa.Field, path: str) -> pa.ChunkedArray:
    try:
        return cast_column(column, wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatchError(
            f"{path}: field {wanted.name!r} has the type {column.type}, and the dataset's is {wanted.type}: {error}. Convert the file, or "
            "pass schema= with a type that holds both."
        ) from error
