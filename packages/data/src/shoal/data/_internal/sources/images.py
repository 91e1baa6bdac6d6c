"""Images: one row a file."""

from __future__ import annotations

import io
import operator
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.file_extensions import IMAGE_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError


class ImagesSource(FileSource):
    """Images, each a row, in the column `image`: arrays of height × width × channels (height × width for one channel), of uint8.

    Images of one size make a column of fixed-shape tensors, others one of tensors of variable shape. Needs Pillow.

    Args:
        paths: files, directories and patterns, local or as URIs.
        size: (height, width) in pixels to resize to; None to keep sizes.
        mode: of Pillow to convert to, as 'RGB' or 'L'; None to keep modes.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have, or Pillow is not installed.
    """

    name = "Images"
    rows_per_file = 1
    is_compressible = False

    def __init__(
        self,
        paths: Paths,
        *,
        size: tuple[int, int] | None = None,
        mode: str | None = None,
        file_extensions: Sequence[str] | None = IMAGE_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        try:
            from PIL import ImageMode
        except ImportError as error:
            raise InvalidArgumentError('read_images needs Pillow: pip install "shoal-data[images]".') from error
        self._size = _checked_size(size)
        if mode is not None:
            try:
                ImageMode.getmode(mode)
            except KeyError:
                raise InvalidArgumentError(f"mode={mode!r}: Pillow knows no such mode. Use 'RGB', 'L', …") from None
        self._mode = mode
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def size_bytes(self) -> int | None:
        """As decoded, if `size` tells; otherwise as on the disk."""
        if self._size is None:
            return super().size_bytes()
        channels = len(self._mode) if self._mode is not None and self._mode.isupper() else 3
        return len(self._files.files) * self._size[0] * self._size[1] * channels

    def reader(self) -> FileReader:
        return partial(read_image, size=self._size, mode=self._mode)


def _checked_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    try:
        height, width = map(operator.index, size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise InvalidArgumentError(f"size={size!r}: use (height, width), two numbers of pixels of 1 or more.")
    return height, width


def read_image(stream: Any, path: str, size: tuple[int, int] | None, mode: str | None) -> Iterator[pa.Table]:
    """Yields one row with the pixels of an image.

    Args:
        stream: the open file.
        path: of it, for errors.
        size: (height, width) to resize to.
        mode: of Pillow to convert to.

    Raises:
        FileReadError: if it is no image.
    """
    from PIL import Image

    try:
        image: Any = Image.open(io.BytesIO(stream.read()))
        if image.mode in {"P", "1"} and size is not None:
            # Pillow cannot blend numbers of colours.
            image = image.convert(mode or ("RGBA" if "transparency" in image.info else "RGB"))
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        if mode is not None and image.mode != mode:
            image = image.convert(mode)
        pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileReadError(f"{path} cannot be read as an image: {error}") from error
    yield pa.table({"image": array_of(pixels[np.newaxis])})
