"""Files that are read from the beginning to the end: CSV, JSON, text, bytes, images, numpy arrays, Arrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.sources.stream_source import StreamSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_LINES_A_TABLE = 65_536
Reader = Callable[[Any, str], Iterator[pa.Table]]


class _Files(StreamSource):
    """Whole files, read by a function of a stream and a path."""

    def __init__(self, name: str, reader: Reader, include_paths: bool, paths: Any, **arguments: Any) -> None:
        self.name = name
        self._reader = reader
        self._include_paths = include_paths
        super().__init__(paths, **arguments)

    def reader(self) -> Reader:
        return partial(_with_path, self._reader) if self._include_paths else self._reader


def _with_path(reader: Reader, stream: Any, path: str) -> Iterator[pa.Table]:
    for table in reader(stream, path):
        yield table.append_column("path", pa.array([path] * table.num_rows, pa.string()))


def csv_source(paths: Any, include_paths: bool, options: Mapping[str, Any], **arguments: Any) -> StreamSource:
    """CSV files; `options` are arguments of `pyarrow.csv.open_csv`."""
    return _Files("CSV", partial(_read_csv, dict(options)), include_paths, paths, **arguments)


def _read_csv(options: dict[str, Any], stream: Any, path: str) -> Iterator[pa.Table]:
    from pyarrow import csv

    data = stream.read()
    if not data.strip():
        return
    try:
        yield csv.read_csv(pa.BufferReader(data), **options)
    except pa.ArrowInvalid as error:
        raise FileReadError(f"{path} cannot be read as CSV: {error}") from error


def json_source(paths: Any, include_paths: bool, options: Mapping[str, Any], **arguments: Any) -> StreamSource:
    """Files of JSON lines, or of one JSON array of objects; `options` are arguments of `pyarrow.json.read_json`."""
    return _Files("JSON", partial(_read_json, dict(options)), include_paths, paths, **arguments)


def _read_json(options: dict[str, Any], stream: Any, path: str) -> Iterator[pa.Table]:
    import json as plain_json

    from pyarrow import json

    data = stream.read()
    start = data[:64].lstrip()[:1]
    if not start:
        return
    try:
        if start == b"[":
            yield table_of_rows(plain_json.loads(data))
        else:
            options.setdefault("read_options", json.ReadOptions(block_size=max(1 << 20, len(data))))
            yield json.read_json(pa.BufferReader(data), **options)
    except (pa.ArrowInvalid, ValueError) as error:
        raise FileReadError(f"{path} cannot be read as JSON: {error}") from error


def text_source(paths: Any, include_paths: bool, encoding: str, drop_empty: bool, **arguments: Any) -> StreamSource:
    """One row a line, in the column `text`."""
    try:
        "".encode(encoding)
    except LookupError:
        raise InvalidArgumentError(f"encoding is {encoding!r}, which Python does not know") from None
    return _Files("Text", partial(_read_text, encoding, drop_empty), include_paths, paths, **arguments)


def _read_text(encoding: str, drop_empty: bool, stream: Any, path: str) -> Iterator[pa.Table]:
    lines: list[str] = []
    try:
        for line in io.TextIOWrapper(stream, encoding=encoding):
            text = line.rstrip("\r\n")
            if text or not drop_empty:
                lines.append(text)
            if len(lines) >= _LINES_A_TABLE:
                yield pa.table({"text": pa.array(lines, pa.string())})
                lines = []
    except UnicodeDecodeError as error:
        raise FileReadError(f"{path} is no text in {encoding}: {error}") from error
    if lines:
        yield pa.table({"text": pa.array(lines, pa.string())})


def binary_source(paths: Any, include_paths: bool, **arguments: Any) -> StreamSource:
    """One row a file, in the column `bytes`."""
    return _Files("Binary", _read_binary, include_paths, paths, **arguments)


def _read_binary(stream: Any, path: str) -> Iterator[pa.Table]:
    yield pa.table({"bytes": pa.array([stream.read()], pa.binary())})


def images_source(
    paths: Any, include_paths: bool, size: tuple[int, int] | None, mode: str | None, **arguments: Any
) -> StreamSource:
    """One row a file, in the column `image`: height, width, channels; uint8."""
    return _Files("Images", partial(_read_image, size, mode), include_paths, paths, **arguments)


def _read_image(size: tuple[int, int] | None, mode: str | None, stream: Any, path: str) -> Iterator[pa.Table]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError('read_images needs Pillow: pip install "shoal-data[images]"') from error
    try:
        image: Any = Image.open(io.BytesIO(stream.read()))
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        if mode is not None:
            image = image.convert(mode)
        pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise FileReadError(f"{path} cannot be read as an image: {error}") from error
    yield pa.table({"image": array_of(pixels[np.newaxis])})


def numpy_source(paths: Any, include_paths: bool, options: Mapping[str, Any], **arguments: Any) -> StreamSource:
    """Arrays, their first axis the rows, in the column `data`; `options` are arguments of `numpy.load`."""
    return _Files("Numpy", partial(_read_numpy, dict(options)), include_paths, paths, **arguments)


def _read_numpy(options: dict[str, Any], stream: Any, path: str) -> Iterator[pa.Table]:
    try:
        loaded = np.load(io.BytesIO(stream.read()), **options)
    except ValueError as error:
        raise FileReadError(f"{path} cannot be read as a numpy array: {error}") from error
    arrays = {"data": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    yield pa.table({name: array_of(array) for name, array in arrays.items()})
