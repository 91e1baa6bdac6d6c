"""Files as they are: one row a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths

_LARGE_BYTES = (1 << 31) - 1
"""What Arrow's plain binary columns hold."""


class BinarySource(FileSource):
    """Files as they are, compressed ones too: each is a row, in the column `bytes`.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "Binary"
    rows_per_file = 1
    is_compressible = False

    def __init__(
        self, paths: Paths, *, file_extensions: Sequence[str] | None = None, **listing: Unpack[ListingArguments]
    ) -> None:
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def schema(self) -> pa.Schema:
        return pa.schema([pa.field("bytes", pa.binary()), *self._path_fields()])

    def reader(self) -> FileReader:
        return read_bytes


def read_bytes(stream: Any, path: str) -> Iterator[pa.Table]:
    """Yields one row with all bytes of a file."""
    content = stream.read()
    kind = pa.large_binary() if len(content) > _LARGE_BYTES else pa.binary()
    yield pa.table({"bytes": pa.array([content], kind)})
