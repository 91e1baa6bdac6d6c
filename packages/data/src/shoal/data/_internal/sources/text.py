"""Files of text: one row a line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_PIECE_BYTES = 8 << 20


class TextSource(FileSource):
    """Files of text: the lines are rows, in the column `text`, without what ends them.

    Args:
        paths: files, directories and patterns, local or as URIs.
        encoding: of the files.
        drop_empty_lines: leave out lines of nothing but whitespace.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "Text"

    def __init__(
        self,
        paths: Paths,
        *,
        encoding: str = "utf-8",
        drop_empty_lines: bool = True,
        file_extensions: Sequence[str] | None = None,
        **listing: Unpack[ListingArguments],
    ) -> None:
        try:
            codecs.lookup(encoding)
        except (LookupError, TypeError):
            raise InvalidArgumentError(f"encoding={encoding!r}: Python knows no such encoding.") from None
        self._encoding = encoding
        self._drop_empty_lines = drop_empty_lines
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def schema(self) -> pa.Schema:
        own = pa.schema([("text", pa.string())])
        return pa.schema([*own, *self._path_fields()])

    def reader(self) -> FileReader:
        return partial(read_text, encoding=self._encoding, drop_empty_lines=self._drop_empty_lines)


def read_text(stream: Any, path: str, encoding: str, drop_empty_lines: bool) -> Iterator[pa.Table]:
    """Yields the lines of a file.

    Args:
        stream: the open file.
        path: of it, for errors.
        encoding: of the text.
        drop_empty_lines: leave out lines of nothing but whitespace.

    Raises:
        FileReadError: if it is no text in that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = ""
    while True:
        piece = stream.read(_PIECE_BYTES)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise FileReadError(f"{path} is no text in {encoding}: {error}") from error
        lines = (rest + text).split("\n")
        # What follows the last newline may go on in the next piece.
        rest = lines.pop() if piece else ""
        if not piece and lines[-1] == "":
            lines.pop()
        lines = [line.removesuffix("\r") for line in lines if line.strip() or not drop_empty_lines]
        if lines:
            yield pa.table({"text": pa.array(lines, pa.string())})
        if not piece:
            return
