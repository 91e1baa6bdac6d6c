"""Files of numpy arrays."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.file_extensions import NUMPY_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_COLUMN = "data"
_UNNAMED = "arr_0"
"""What `numpy.savez` calls an array without a name."""
_PIECE_BYTES = 32 << 20
_MAGIC = b"\x93NUMPY"


class NumpySource(FileSource):
    """Files of numpy arrays, `.npy` and `.npz`: the first axis are the rows.

    An array of an `.npy` file, and the only one without a name of an `.npz` file, is the column `data`; others have their names.

    Args:
        paths: files, directories and patterns, local or as URIs.
        allow_pickle: whether arrays may hold Python objects. Only for files that you trust: unpickling runs code.
        file_extensions: only such files are read; None for all.
        numpy_load_args: other arguments of `numpy.load`.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have.
    """

    name = "Numpy"

    def __init__(
        self,
        paths: Paths,
        *,
        allow_pickle: bool = False,
        file_extensions: Sequence[str] | None = NUMPY_EXTENSIONS,
        numpy_load_args: Mapping[str, Any] | None = None,
        **listing: Unpack[ListingArguments],
    ) -> None:
        options = dict(numpy_load_args or {})
        unknown = options.keys() - {"fix_imports", "encoding", "max_header_size", "mmap_mode"}
        if unknown:
            raise InvalidArgumentError(f"read_numpy has no argument {min(unknown)!r}, and numpy.load has none either.")
        options.pop("mmap_mode", None)  # what is read stays in memory anyway
        self._options = {"allow_pickle": allow_pickle, **options}
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return partial(read_numpy, options=self._options)


def read_numpy(stream: Any, path: str, options: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yields the rows of a file of arrays.

    Args:
        stream: the open file.
        path: of it, for errors.
        options: of `numpy.load`.

    Raises:
        FileReadError: if it is no such file, its arrays differ in length, or it has objects and may not.
    """
    magic = stream.read(len(_MAGIC))
    try:
        if magic == _MAGIC and not options.keys() - {"allow_pickle"}:
            yield from _read_rows(magic, stream, options)
            return
        loaded = np.load(io.BytesIO(magic + stream.read()), **options)
        if isinstance(loaded, np.ndarray):
            yield _table({_COLUMN: loaded})
        else:
            arrays = {name: loaded[name] for name in loaded.files}
            yield _table({_COLUMN: arrays[_UNNAMED]} if list(arrays) == [_UNNAMED] else arrays)
    except (ValueError, EOFError, OSError, KeyError) as error:
        hint = " Pass allow_pickle=True if you trust the file." if "allow_pickle" in str(error) else ""
        raise FileReadError(f"{path} cannot be read as numpy arrays: {error}.{hint}") from error


def _read_rows(magic: bytes, stream: Any, options: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yields an array in pieces, as it may be larger than memory."""
    version = stream.read(2)
    length = 2 if version[:1] == b"\x01" else 4
    size = stream.read(length)
    head = magic + version + size + stream.read(int.from_bytes(size, "little"))
    reading = io.BytesIO(head)
    number = np.lib.format.read_magic(reading)
    if number == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(reading)
    elif number == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(reading)
    else:
        shape, by_columns, dtype = (), False, np.dtype(object)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    if dtype.hasobject or not shape or (by_columns and len(shape) > 1) or not row_bytes:
        yield _table({_COLUMN: np.load(io.BytesIO(head + stream.read()), **options)})
        return
    step = max(1, _PIECE_BYTES // row_bytes)
    for first in range(0, max(shape[0], 1), step):
        rows = min(step, shape[0] - first)
        content = stream.read(rows * row_bytes)
        if len(content) < rows * row_bytes:
            raise ValueError(f"it ends after {first + len(content) // row_bytes} of {shape[0]} rows")
        yield _table({_COLUMN: np.frombuffer(content, dtype).reshape(rows, *shape[1:])})


def _table(arrays: Mapping[str, np.ndarray[Any, Any]]) -> pa.Table:
    lengths = {name: len(np.atleast_1d(array)) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its arrays have different numbers of rows: {lengths}")
    return pa.table({name: array_of(np.atleast_1d(array)) for name, array in arrays.items()})
