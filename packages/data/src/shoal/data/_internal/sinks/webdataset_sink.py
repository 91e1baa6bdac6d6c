"""WebDataset: tar files in which a row is the files with one key, and a column is an extension."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.images_sink import encode_image
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.task_files import TaskFiles
from shoal.data.exceptions import InvalidArgumentError

KEY_COLUMN = "__key__"

SampleEncoder: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
EncoderChoice: TypeAlias = bool | str | SampleEncoder | Sequence[bool | str | SampleEncoder] | None

_IMAGES = {
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "png": "png",
    "ppm": "ppm",
    "pgm": "ppm",
    "pbm": "ppm",
    "pnm": "ppm",
    "webp": "webp",
}


class WebDatasetSink(TableFileSink):
    """Writes tar files. The columns of a row become members `{key}.{column}`; null values are left out, as are columns whose names begin
    with '__'.

    The key is the column `__key__`; without one it is the id of the write with the task's and the row's number.

    Args:
        path: the directory.
        encoder: how values become bytes. True: by the last part of the column's name (txt, cls, json, npy, jpg, png, …, mp, pt, pkl);
        bytes and
            strings stay as they are. A function from a row to a row; a list of such; None for rows that have only bytes and strings
            already.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        encoder: EncoderChoice = True,
        min_rows_per_file: int | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format="tar", min_rows_per_file=min_rows_per_file, **arguments)
        self._encoders = _checked_encoders(encoder)
        self._make_key: Callable[[], str] | None = None

    def write_files(self, blocks: Any, files: TaskFiles, ctx: TaskContext) -> None:
        """Writes the blocks of a task."""
        numbers = iter(range(1 << 62))
        self._make_key = lambda: f"{ctx.write_id}_{ctx.task_index:06}_{next(numbers):09}"
        try:
            super().write_files(blocks, files, ctx)
        finally:
            self._make_key = None

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        assert self._make_key is not None
        return _TarEncoder(stream, self._encoders, self._make_key)


class _TarEncoder:
    def __init__(self, stream: Any, encoders: Sequence[SampleEncoder], make_key: Callable[[], str]) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w|")  # noqa: SIM115 # lives as long as the file
        self._encoders = encoders
        self._make_key = make_key

    def write(self, table: pa.Table) -> None:
        for row in to_rows(table):
            sample = row
            for encode in self._encoders:
                sample = encode(sample)
            key = sample.get(KEY_COLUMN)
            key = self._make_key() if key is None else str(key)
            for extension, value in sample.items():
                if value is not None and not extension.startswith("__"):
                    self._add(f"{key}.{extension}", extension, value)

    def close(self) -> None:
        self._tar.close()

    def abandon(self) -> None:
        # Otherwise tarfile writes its last block when it is collected.
        stream: Any = self._tar.fileobj
        stream.closed = True

    def _add(self, name: str, column: str, value: Any) -> None:
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            raise InvalidArgumentError(
                f"write_webdataset: column {column!r} has {str(value)[:40]!r} of the type {type(value).__name__} after encoding, and "
                "members of a "
                "tar file are bytes. Rename the column to an extension that tells the format (such as 'json' or 'npy'), or pass an encoder."
            )
        member = tarfile.TarInfo(name)
        member.size = len(value)
        # Times and owners of their own would make two runs of the same job differ.
        member.mtime, member.mode, member.uname, member.gname = 0, 0o644, "data", "data"
        self._tar.addfile(member, io.BytesIO(value))


def _checked_encoders(encoder: EncoderChoice) -> list[SampleEncoder]:
    if encoder is None or encoder is False:
        return []
    choices = list(encoder) if isinstance(encoder, Sequence) and not isinstance(encoder, str) else [encoder]
    encoders: list[SampleEncoder] = []
    for choice in choices:
        if callable(choice):
            encoders.append(choice)
        elif choice is True:
            encoders.append(encode_by_extension)
        elif isinstance(choice, str) and choice.lower() in _IMAGES:
            encoders.append(partial(encode_by_extension, image_format=choice))
        else:
            raise InvalidArgumentError(
                f"encoder={choice!r}: use True, a function from a row to a row, a list of such, or None."
            )
    return encoders


def encode_by_extension(sample: dict[str, Any], image_format: str | None = None) -> dict[str, Any]:
    """Encodes each value as the extension, which is the last part of its column's name, says.

    Args:
        sample: the row.
        image_format: of all images; None for the one that the extension says.

    Raises:
        InvalidArgumentError: if a value is not of the kind that the extension is for.
    """
    return {
        name: value if value is None or name.startswith("__") else _encoded(name, value, image_format)
        for name, value in sample.items()
    }


def _encoded(name: str, value: Any, image_format: str | None) -> Any:
    extension = name.rpartition(".")[2].lower()
    if isinstance(value, bytes):
        return value
    if extension in {"txt", "text", "cls", "cls2"}:
        return str(value).encode()
    if extension in _IMAGES:
        encoded = io.BytesIO()
        pillow_format = _IMAGES[(image_format or extension).lower()]
        encode_image(value, encoded, pillow_format, f"write_webdataset: column {name!r}")
        return encoded.getvalue()
    if extension in {"json", "jsn"}:
        return json.dumps(value, default=_json_value).encode()
    if extension == "npy":
        encoded = io.BytesIO()
        np.lib.format.write_array(encoded, np.asarray(value), allow_pickle=False)
        return encoded.getvalue()
    if extension in {"mp", "msgpack"}:
        import msgspec

        return msgspec.msgpack.encode(value)
    if extension in {"pt", "pth"}:
        import torch

        encoded = io.BytesIO()
        torch.save(value, encoded)
        return encoded.getvalue()
    if extension in {"pkl", "pickle"}:
        return pickle.dumps(value)
    return value


def _json_value(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}")
