"""ORC files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sources.file_extensions import ORC_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError


class ORCSource(FileSource):
    """ORC files, read stripe by stripe.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "ORC"
    needs_seek = True

    def __init__(
        self,
        paths: Paths,
        *,
        file_extensions: Sequence[str] | None = ORC_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return read_orc


def read_orc(file: Any, path: str) -> Iterator[pa.Table]:
    """Yields the stripes of a file.

    Args:
        file: open, for reading at any place.
        path: of it, for errors.

    Raises:
        FileReadError: if it is no ORC file.
    """
    from pyarrow import orc

    try:
        reader = orc.ORCFile(file)
        yield reader.schema.empty_table()
        for stripe in range(reader.nstripes):
            yield pa.Table.from_batches([reader.read_stripe(stripe)])
    except (pa.ArrowException, OSError) as error:
        raise FileReadError(f"{path} cannot be read as ORC: {error}") from error
