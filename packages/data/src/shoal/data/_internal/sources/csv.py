"""CSV files."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sources.file_extensions import CSV_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource, widened
from shoal.data._internal.sources.line_pieces import line_pieces
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.partitioning import Partitioning
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

_PIECE_BYTES = 32 << 20
_OPTIONS = ("read_options", "parse_options", "convert_options")
_NEWLINE_IS_A_BYTE = frozenset({"utf8", "utf-8", "ascii", "latin-1", "latin1", "iso-8859-1", "cp1252"})


class CSVSource(FileSource):
    """CSV files: one row a line, names in the first one, types told by the values.

    Types are told by all values of a file of up to 32 MiB. Larger ones are read in pieces of that size: a column of whole numbers becomes
    one of floats from the piece on that has the first of them.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        arrow_csv_args: of `pyarrow.csv.read_csv`: read_options, parse_options, convert_options.
        listing: the other arguments of `FileSource`; `partitioning` is that of hive where it is not given.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "CSV"

    def __init__(
        self,
        paths: Paths,
        *,
        file_extensions: Sequence[str] | None = CSV_EXTENSIONS,
        arrow_csv_args: Mapping[str, Any] | None = None,
        **listing: Unpack[ListingArguments],
    ) -> None:
        self._options = dict(arrow_csv_args or {})
        for option in self._options:
            if option not in _OPTIONS:
                raise InvalidArgumentError(f"read_csv has no argument {option!r}. Arrow's are {', '.join(_OPTIONS)}.")
        listing.setdefault("partitioning", Partitioning("hive"))
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return partial(read_csv, options=self._options)


def read_csv(stream: Any, path: str, options: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yields the tables of a CSV file.

    Args:
        stream: the open file.
        path: of it, for errors.
        options: read_options, parse_options and convert_options of `pyarrow.csv`.

    Raises:
        FileReadError: if it is no CSV.
        SchemaMismatchError: if a column of a large file has other values later that its type cannot hold, as text after numbers.
    """
    from pyarrow import csv

    read = options.get("read_options") or csv.ReadOptions()
    parse = options.get("parse_options") or csv.ParseOptions()
    convert = options.get("convert_options") or csv.ConvertOptions()
    try:
        if parse.newlines_in_values or read.encoding.lower() not in _NEWLINE_IS_A_BYTE:
            yield from _read_undivided(stream, read, parse, convert)
        else:
            yield from _read_pieces(stream, path, read, parse, convert)
    except pa.ArrowInvalid as error:
        raise FileReadError(f"{path} cannot be read as CSV: {error}") from error


def _read_undivided(stream: Any, read: Any, parse: Any, convert: Any) -> Iterator[pa.Table]:
    from pyarrow import csv

    read = copy.copy(read)
    read.block_size = max(read.block_size, _PIECE_BYTES)
    try:
        batches = csv.open_csv(stream, read, parse, convert)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return
        raise
    for batch in batches:
        yield pa.Table.from_batches([batch])


def _read_pieces(stream: Any, path: str, read: Any, parse: Any, convert: Any) -> Iterator[pa.Table]:
    from pyarrow import csv

    schema = pa.schema([])
    names: list[str] = []
    for piece in line_pieces(stream, _PIECE_BYTES):
        if not piece.strip():
            continue
        if names:
            table = _read_later(piece, _without_head(read, names), parse, convert, schema)
        else:
            table = csv.read_csv(pa.BufferReader(piece), read, parse, convert)
            # Of all columns, also of those that are left out.
            names = csv.open_csv(pa.BufferReader(piece), read, parse).schema.names
        try:
            schema = widened(schema, table, path)
        except SchemaMismatchError as error:
            raise SchemaMismatchError(
                f"{error} Or pass convert_options=pyarrow.csv.ConvertOptions(column_types=…)."
            ) from error
        yield table


def _read_later(piece: bytes, read: Any, parse: Any, convert: Any, schema: pa.Schema) -> pa.Table:
    """The table of a piece, with the types of those before where its values have them."""
    from pyarrow import csv

    known = copy.copy(convert)
    types = {field.name: field.type for field in schema if not pa.types.is_null(field.type)}
    known.column_types = {**types, **convert.column_types}
    try:
        return csv.read_csv(pa.BufferReader(piece), read, parse, known)
    except pa.ArrowInvalid:
        return csv.read_csv(pa.BufferReader(piece), read, parse, convert)


def _without_head(read: Any, names: Sequence[str]) -> Any:
    later = copy.copy(read)
    later.skip_rows = 0
    later.skip_rows_after_names = 0
    later.autogenerate_column_names = False
    later.column_names = names
    return later
