"""Files of sound."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.file_extensions import AUDIO_EXTENSIONS
from shoal.data._internal.sources.files import FileReader, FileSource
from shoal.data._internal.sources.listing import ListingArguments
from shoal.data._internal.sources.paths import Paths
from shoal.data.exceptions import FileReadError, InvalidArgumentError


class AudioSource(FileSource):
    """Files of sound, each a row: `amplitude` (channels × samples, float32, -1 to 1) and `sample_rate` (samples a second). Needs soundfile.

    Args:
        paths: files, directories and patterns, local or as URIs.
        file_extensions: only such files are read; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        FilesNotFoundError: (an OSError) if there is nothing at a path, or no file at all.
        InvalidArgumentError: (a ValueError) if an argument has a value that it cannot have, or soundfile is not installed.
    """

    name = "Audio"
    rows_per_file = 1
    is_compressible = False

    def __init__(
        self,
        paths: Paths,
        *,
        file_extensions: Sequence[str] | None = AUDIO_EXTENSIONS,
        **listing: Unpack[ListingArguments],
    ) -> None:
        try:
            import soundfile  # noqa: F401  it is missed here, not in a task
        except ImportError as error:
            raise InvalidArgumentError('read_audio needs soundfile: pip install "shoal-data[audio]".') from error
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> FileReader:
        return read_audio


def read_audio(stream: Any, path: str) -> Iterator[pa.Table]:
    """Yields one row with the sound of a file.

    Args:
        stream: the open file.
        path: of it, for errors.

    Raises:
        FileReadError: if it is no sound that soundfile knows.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(stream.read()), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError) as error:
        raise FileReadError(f"{path} cannot be read as sound: {error}") from error
    amplitude = np.ascontiguousarray(samples.T)[np.newaxis]
    yield pa.table({"amplitude": array_of(amplitude), "sample_rate": pa.array([rate], pa.int64())})
