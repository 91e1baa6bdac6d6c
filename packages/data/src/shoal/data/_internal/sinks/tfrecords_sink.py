"""TFRecord files of `tf.train.Example` messages, without TensorFlow.

A record is: its length (uint64), the masked CRC-32C of these eight bytes (uint32), the message, its masked CRC-32C; all little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, Unpack

import pyarrow as pa

from shoal.data._internal.sinks.file_roller import FileEncoder
from shoal.data._internal.sinks.file_sink import FileSinkArguments
from shoal.data._internal.sinks.table_file_sink import TableFileSink
from shoal.data._internal.sinks.tf_example import FeatureKind, examples_of, feature_kinds
from shoal.data.exceptions import InvalidArgumentError

_MASK_DELTA = 0xA282EAD8


class TFRecordsSink(TableFileSink):
    """Writes TFRecord files. Needs google-crc32c.

    Integers and booleans become int64 features, floats become float features (of 32 bits), strings and bytes become bytes features; lists
    have
    as many values, and tensors are serialised into one.

    Args:
        path: the directory.
        tf_schema: the kinds of the features: a `tensorflow_metadata` Schema, or a dict of names to 'bytes', 'float' or 'int'. Needed for
        columns that
            have only nulls in some blocks.
        min_rows_per_file: the fewest rows of a file, as long as there are so many.
        arguments: those of every sink of files: filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have, or google-crc32c is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        tf_schema: Any = None,
        min_rows_per_file: int | None = None,
        **arguments: Unpack[FileSinkArguments],
    ) -> None:
        super().__init__(path, file_format="tfrecords", min_rows_per_file=min_rows_per_file, **arguments)
        self._kinds = feature_kinds(tf_schema)
        _crc32c()

    def encoder(self, stream: Any, schema: pa.Schema) -> FileEncoder:
        """Begins a file."""
        return _RecordsEncoder(stream, self._kinds)


class _RecordsEncoder:
    def __init__(self, stream: Any, kinds: dict[str, FeatureKind] | None) -> None:
        self._stream = stream
        self._kinds = kinds
        self._crc32c = _crc32c()

    def write(self, table: pa.Table) -> None:
        for example in examples_of(table, self._kinds):
            length = struct.pack("<Q", len(example))
            self._stream.write(b"".join((length, self._checksum(length), example, self._checksum(example))))

    def close(self) -> None:
        """Nothing is left to be written."""

    def abandon(self) -> None:
        """Nothing is left to be written."""

    def _checksum(self, content: bytes) -> bytes:
        crc = self._crc32c(content)
        # A checksum of bytes that contain checksums is weak, so the format stores it rotated and shifted.
        return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF)


def _crc32c() -> Callable[[bytes], int]:
    try:
        import google_crc32c
    except ImportError as error:
        raise InvalidArgumentError("write_tfrecords needs google-crc32c: pip install google-crc32c.") from error
    return google_crc32c.value  # type: ignore[no-any-return]
