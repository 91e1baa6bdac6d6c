"""Avro files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_rows
from shoal.data._internal.sources.file_extensions import AVRO_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_ROWS_AT_ONCE = 10_000


class AvroSource(FileSource):
    """Avro object container files: a record is a row. Needs fastavro.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have, or fastavro is not installed.
    """

    name = "Avro"

    def __init__(
        self,
        paths: Paths,
        *,
        file_extensions: Sequence[str] | None = AVRO_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        try:
            import fastavro  # noqa: F401  it is missed here, not in a task
        except ImportError as error:
            raise InvalidArgumentError('read_avro needs fastavro: pip install "shoal-data[avro]".') from error
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return read_avro


def read_avro(stream: Any, path: str) -> Iterator[pa.Table]:
    """Yields the records of a file.

    Args:
        stream: the open file.
        path: of it, for errors.

    Raises:
        FileReadError: if it is no Avro file, or its records are no records.
    """
    import fastavro

    try:
        records = fastavro.reader(stream)
        while rows := [_row(record, path) for record in islice(records, _ROWS_AT_ONCE)]:
            yield table_of_rows(rows)
    except (ValueError, EOFError, IndexError, KeyError, TypeError, SystemError) as error:
        raise FileReadError(f"{path} cannot be read as Avro: {error}") from error


def _row(record: Any, path: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise FileReadError(f"{path}: a row is a record, but there is {record!r:.50}")
    return record
