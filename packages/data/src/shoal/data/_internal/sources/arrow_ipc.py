"""Arrow's own formats: files (Feather) and streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sources.file_extensions import ARROW_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError

_MAGIC = b"ARROW1"


class ArrowSource(FileSource):
    """Files and streams of Arrow's IPC format, Feather among them; the first bytes tell which it is.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "Arrow"
    needs_seek = True

    def __init__(
        self,
        paths: Paths,
        *,
        file_extensions: Sequence[str] | None = ARROW_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return read_arrow


def read_arrow(file: Any, path: str) -> Iterator[pa.Table]:
    """Yields the batches of a file or stream.

    Args:
        file: open, at its beginning, for reading at any place.
        path: of it, for errors.

    Raises:
        FileReadError: if it is neither.
    """
    try:
        is_file = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if is_file:
            reader = pa.ipc.open_file(file)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(file)
            batches = iter(reader)
        yield reader.schema.empty_table()
        for batch in batches:
            yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise FileReadError(f"{path} cannot be read as Arrow IPC: {error}") from error
