"""Files of JSON: a row a line, or one array of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_rows
from shoal.data._internal.sources.file_extensions import JSON_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.line_pieces import line_pieces
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.partitioning import Partitioning
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_PIECE_BYTES = 32 << 20
_OPTIONS = ("read_options", "parse_options")
_WHITESPACE = re.compile(r"\s*")


class JSONSource(FileSource):
    """Files of JSON: objects one after the other (usually one a line), or one array of objects. An object is a row.

    Args:
        paths: files, directories and patterns, local or as URIs.
        lines: whether files are known to have one object a line; otherwise their first character tells.
        file_extensions: only such files are read; None for all.
        arrow_json_args: of `pyarrow.json.read_json`: read_options, parse_options.
        listing: the other arguments of `FileSource`; `partitioning` is that of hive where it is not given.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "JSON"

    def __init__(
        self,
        paths: Paths,
        *,
        lines: bool = False,
        file_extensions: Sequence[str] | None = JSON_EXTENSIONS,
        arrow_json_args: Mapping[str, Any] | None = None,
        **listing: Unpack[ListingArguments],
    ) -> None:
        self._lines = lines
        self._options = dict(arrow_json_args or {})
        for option in self._options:
            if option not in _OPTIONS:
                raise InvalidArgumentError(f"read_json has no argument {option!r}. Arrow's are {', '.join(_OPTIONS)}.")
        listing.setdefault("partitioning", Partitioning("hive"))
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return partial(read_json, lines=self._lines, options=self._options)


def read_json(stream: Any, path: str, lines: bool, options: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yields the tables of a file of JSON.

    Args:
        stream: the open file.
        path: of it, for errors.
        lines: whether it is known to have one object a line.
        options: read_options and parse_options of `pyarrow.json`.

    Raises:
        FileReadError: if it is no JSON, or not of objects.
    """
    pieces = line_pieces(stream, _PIECE_BYTES)
    first = next((piece for piece in pieces if piece.strip()), b"").removeprefix(b"\xef\xbb\xbf")
    if not first:
        return
    if not lines and first.lstrip()[:1] == b"[":
        yield _table_of_document(b"".join([first, *pieces]), path)
        return
    piece = first
    while piece:
        try:
            yield _table_of_lines(piece, options)
        except pa.ArrowInvalid as error:
            yield from _read_slowly(piece, pieces, path, error)
        piece = next((piece for piece in pieces if piece.strip()), b"")


def _table_of_lines(piece: bytes, options: Mapping[str, Any]) -> pa.Table:
    from pyarrow import json as arrow_json

    read = options.get("read_options")
    parse = options.get("parse_options")
    try:
        return arrow_json.read_json(pa.BufferReader(piece), read_options=read, parse_options=parse)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
    large = arrow_json.ReadOptions(block_size=len(piece) + 1, use_threads=False)
    return arrow_json.read_json(pa.BufferReader(piece), read_options=large, parse_options=parse)


def _read_slowly(piece: bytes, others: Iterator[bytes], path: str, error: pa.ArrowInvalid) -> Iterator[pa.Table]:
    """Yields what Arrow cannot read: columns of more than one kind of value, objects that go over the end of the piece."""
    try:
        rows = _objects(piece)
    except json.JSONDecodeError:
        try:
            rows = _objects(b"".join([piece, *others]))
        except ValueError as reason:
            raise FileReadError(f"{path} cannot be read as JSON: {reason} (Arrow: {error})") from error
    except ValueError as reason:
        raise FileReadError(f"{path} cannot be read as JSON: {reason}") from error
    yield table_of_rows(rows)


def _table_of_document(document: bytes, path: str) -> pa.Table:
    try:
        return table_of_rows(_rows(json.loads(document)))
    except ValueError as error:
        raise FileReadError(f"{path} cannot be read as JSON: {error}") from error


def _objects(piece: bytes) -> list[dict[str, Any]]:
    """The objects that follow one another in a text."""
    text = piece.decode()
    decode = json.JSONDecoder().raw_decode
    found = []
    place = _next_character(text, 0)
    while place < len(text):
        value, end = decode(text, place)
        found.append(value)
        place = _next_character(text, end)
    return _rows(found)


def _next_character(text: str, place: int) -> int:
    match = _WHITESPACE.match(text, place)
    return match.end() if match is not None else place


def _rows(values: list[Any]) -> list[dict[str, Any]]:
    wrong = next((value for value in values if not isinstance(value, dict)), None)
    if wrong is not None:
        raise ValueError(f"a row is an object, but there is {str(wrong)[:50]!r} of the type {type(wrong).__name__}")
    return values
