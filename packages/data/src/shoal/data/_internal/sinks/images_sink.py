"""Image files."""

from __future__ import annotations

import io
import os
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.row_file_sink import RowFileSink
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

_PILLOW_NAMES = {"jpg": "jpeg", "tif": "tiff"}


class ImagesSink(RowFileSink):
    """Writes each row of a column to an image file. Needs Pillow.

    Args:
        path: the directory.
        column: its values are arrays of height × width, or height × width × channels, of uint8 or booleans, or Pillow's images.
        file_format: the extension, and with it the format: 'png', 'jpeg', 'webp', …
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if Pillow cannot write such a format, or another argument has a value that it cannot have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        column: str,
        file_format: str = "png",
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format=file_format, **arguments)
        if not isinstance(column, str):
            raise InvalidArgumentError(f"column={column!r}: name one column, with a string.")
        self.column = column
        self._pillow_format = _pillow_format(file_format)

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """As of every sink of files; looks for the column, too.

        Raises:
            ColumnNotFoundError: if it is missing.
        """
        if schema is not None and self.column not in schema.names:
            raise ColumnNotFoundError(self.column, schema.names, "write_images(column=)")
        super().on_write_start(schema)

    def write_row(self, row: dict[str, Any], stream: Any) -> None:
        """Writes the image of one row.

        Raises:
            ColumnNotFoundError: if there is no such column.
            InvalidArgumentError: if the value is no image.
        """
        if self.column not in row:
            raise ColumnNotFoundError(self.column, row, "write_images(column=)")
        # Some of Pillow's formats seek back.
        encoded = io.BytesIO()
        encode_image(row[self.column], encoded, self._pillow_format, f"write_images: column {self.column!r}")
        stream.write(encoded.getbuffer())


def encode_image(value: Any, stream: io.BytesIO, pillow_format: str, where: str) -> None:
    """Writes an array or one of Pillow's images as an image file.

    Args:
        value: height × width, or height × width × channels; or an image of Pillow.
        stream: to write to.
        pillow_format: Pillow's name of the format.
        where: what the value is of, for the error.

    Raises:
        InvalidArgumentError: if it is no image.
    """
    from PIL import Image

    if isinstance(value, Image.Image):
        image = value
    elif isinstance(value, np.ndarray):
        pixels = value[:, :, 0] if value.ndim == 3 and value.shape[2] == 1 else value
        if pixels.ndim not in {2, 3}:
            raise _no_image(where, f"an array of the shape {value.shape}")
        try:
            image = Image.fromarray(np.ascontiguousarray(pixels))
        except (TypeError, ValueError) as error:
            raise _no_image(where, f"an array of {value.dtype} and the shape {value.shape}") from error
    else:
        raise _no_image(where, f"{str(value)[:40]!r} of the type {type(value).__name__}")
    try:
        image.save(stream, format=pillow_format)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidArgumentError(
            f"{where}: an image of the mode {image.mode} cannot be a {pillow_format} file ({error})."
        ) from error


def _no_image(where: str, value: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{where} has {value}, which is no image. Give arrays of uint8, of height × width or height × width × channels: "
        "floats in 0…1 become that by (array * 255).astype('uint8')."
    )


def _pillow_format(file_format: str) -> str:
    try:
        from PIL import Image
    except ImportError as error:
        raise InvalidArgumentError("write_images needs Pillow: pip install pillow.") from error
    if not isinstance(file_format, str):
        raise InvalidArgumentError(f"file_format={file_format!r}: name a format, such as 'png'.")
    name = _PILLOW_NAMES.get(file_format.lower(), file_format.lower())
    Image.init()
    if name.upper() not in Image.SAVE:
        known = ", ".join(sorted(known.lower() for known in Image.SAVE))
        raise InvalidArgumentError(f"file_format={file_format!r}: Pillow writes no such format. It writes {known}.")
    return name
