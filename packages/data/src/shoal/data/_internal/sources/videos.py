"""Files of moving pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.file_extensions import VIDEO_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_BYTES_AT_ONCE = 16 << 20


class VideosSource(FileSource):
    """Files of moving pictures, each picture a row: `frame` (height × width × 3, uint8, RGB) and `frame_index`. Needs av (PyAV).

    Args:
        paths: files, directories and patterns, local or as URIs.
        include_timestamps: adds the column `frame_timestamp`: (begin, end) in seconds.
        fps: pictures a second, taken from those that there are; None for all.
        resize: (height, width) in pixels; None to keep the size.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have, or av is not installed.
    """

    name = "Videos"
    is_compressible = False

    def __init__(
        self,
        paths: Paths,
        *,
        include_timestamps: bool = False,
        fps: float | None = None,
        resize: tuple[int, int] | None = None,
        file_extensions: Sequence[str] | None = VIDEO_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        try:
            import av  # noqa: F401  it is missed here, not in a task
        except ImportError as error:
            raise InvalidArgumentError('read_videos needs av: pip install "shoal-data[videos]".') from error
        if fps is not None and not fps > 0:
            raise InvalidArgumentError(f"fps={fps!r}: give a number of pictures a second above 0")
        if resize is not None and (len(resize) != 2 or min(resize) < 1):
            raise InvalidArgumentError(f"resize={resize!r}: give (height, width) in pixels, both 1 or more")
        self._reader = partial(read_video, include_timestamps=include_timestamps, fps=fps, resize=resize)
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return self._reader


def read_video(
    stream: Any, path: str, include_timestamps: bool, fps: float | None, resize: tuple[int, int] | None
) -> Iterator[pa.Table]:
    """Yields the pictures of a file.

    Args:
        stream: the open file.
        path: of it, for errors.
        include_timestamps: whether with their times.
        fps: pictures a second; None for all.
        resize: (height, width).

    Raises:
        FileReadError: if it is no video that PyAV knows.
    """
    import av

    pictures: list[np.ndarray[Any, Any]] = []
    times: list[list[float]] = []
    first = index = 0
    next_time = 0.0
    try:
        with av.open(io.BytesIO(stream.read()), "r") as container:
            for frame in container.decode(video=0):
                begin = float(frame.time or 0.0)
                if fps is not None:
                    if begin < next_time:
                        continue
                    next_time += 1 / fps
                height, width = resize or (frame.height, frame.width)
                pictures.append(frame.to_ndarray(format="rgb24", width=width, height=height))
                times.append([begin, begin + float(frame.duration or 0) * float(frame.time_base or 0)])
                index += 1
                if sum(picture.nbytes for picture in pictures) >= _BYTES_AT_ONCE:
                    yield _table(pictures, times if include_timestamps else None, first)
                    pictures, times, first = [], [], index
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise FileReadError(f"{path} cannot be read as a video: {error}") from error
    if pictures:
        yield _table(pictures, times if include_timestamps else None, first)


def _table(pictures: list[np.ndarray[Any, Any]], times: list[list[float]] | None, first: int) -> pa.Table:
    columns: dict[str, Any] = {
        "frame": array_of(np.stack(pictures)),
        "frame_index": pa.array(range(first, first + len(pictures)), pa.int64()),
    }
    if times is not None:
        columns["frame_timestamp"] = array_of(np.array(times))
    return pa.table(columns)
