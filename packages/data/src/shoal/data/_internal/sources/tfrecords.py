"""TFRecord files of `tf.train.Example` messages, without TensorFlow.

A record is: its length (uint64), the masked CRC-32C of these eight bytes (uint32), the message, its masked CRC-32C; all little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.sources.files import FileSource
from shoal.data._internal.sources.tf_example_decoding import (
    Feature,
    FeatureKind,
    MalformedExample,
    columns_of,
    features_of,
    list_type,
    table_of_columns,
    without_lists,
)
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

_MASK_DELTA = 0xA282EAD8
_HEAD = struct.Struct("<QI")
_RECORDS_AT_ONCE = 4096
_BYTES_AT_ONCE = 16 << 20
# tensorflow_metadata.proto.v0.schema_pb2.FeatureType
_SCHEMA_KINDS: Mapping[int, FeatureKind] = {1: "bytes", 2: "int", 3: "float"}


class TFRecordsSource(FileSource):
    """Reads TFRecord files. Needs google-crc32c.

    int64 features become columns of int64, float features of float32, bytes features of bytes.

    Args:
        paths: files and directories, local or as URIs.
        tf_schema: which features there are, and of which kind: a `tensorflow_metadata` Schema, or a dict of names to 'bytes', 'float' or
        'int'. Then
            all columns are lists; without it, those that have at most one value in each row of a file are not.
        file_extensions: only such files are read, without dots; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        InvalidArgumentError: if `tf_schema` is something else.
        FileReadError: if there are no files.
    """

    name = "TFRecords"

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        tf_schema: Any = None,
        *,
        file_extensions: Sequence[str] | None = ("tfrecords",),
        **listing: Any,
    ) -> None:
        self._kinds = feature_kinds(tf_schema)
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def schema(self) -> pa.Schema | None:
        """What `tf_schema` says."""
        return tfrecords_schema(self._kinds)

    def reader(self) -> Callable[[Any, str], Iterator[pa.Table]]:
        """Reads one file."""
        return partial(read_tfrecords, kinds=self._kinds)


def feature_kinds(tf_schema: Any) -> dict[str, FeatureKind] | None:
    """The kinds of features that a TensorFlow schema tells of.

    Args:
        tf_schema: a `tensorflow_metadata.proto.v0.schema_pb2.Schema`, a dict of names to 'bytes', 'float' or 'int', or None.

    Raises:
        InvalidArgumentError: if it is something else.
    """
    if tf_schema is None:
        return None
    if isinstance(tf_schema, Mapping):
        kinds = dict(tf_schema)
    elif hasattr(tf_schema, "feature"):
        kinds = {feature.name: _SCHEMA_KINDS.get(feature.type) for feature in tf_schema.feature}
    else:
        raise InvalidArgumentError(
            f"tf_schema={tf_schema!r}: use a schema of tensorflow_metadata, or a dict such as {{'label': 'int'}} with 'bytes', "
            "'float' and 'int'."
        )
    for name, kind in kinds.items():
        if kind not in _SCHEMA_KINDS.values():
            raise InvalidArgumentError(
                f"tf_schema: the feature {name!r} has the type {kind!r}. Use bytes, float or int."
            )
    return kinds


def tfrecords_schema(kinds: Mapping[str, FeatureKind] | None) -> pa.Schema | None:
    """The schema of the tables, where it is known without reading."""
    return None if kinds is None else pa.schema([(name, list_type(kind)) for name, kind in kinds.items()])


def read_tfrecords(stream: Any, path: str, kinds: Mapping[str, FeatureKind] | None) -> Iterator[pa.Table]:
    """Yields the rows of a file.

    Without a schema, a feature that never has more than one value in the file is a column of values, any other a column of lists; the
    whole file is
    held in memory until that is known. With one, all are columns of lists, and rows come as they are read.

    Args:
        stream: the file, open for reading, not compressed.
        path: of the file, for errors.
        kinds: of the features, from `feature_kinds`.

    Raises:
        FileReadError: if the file is cut off or damaged, or its records are no Examples.
        SchemaMismatchError: if a feature has values of different kinds, or is not in the schema.
    """
    known: dict[str, FeatureKind | None] = {} if kinds is None else dict(kinds)
    tables: list[pa.Table] = []
    for records in _batches(_examples(stream, path)):
        try:
            table = _table_of(records, kinds, known)
        except SchemaMismatchError as error:
            raise SchemaMismatchError(f"{path}: {error}") from error
        if kinds is not None:
            yield table
        else:
            tables.append(table)
    if tables:
        yield from without_lists(_alike(tables))


def _table_of(
    records: list[dict[str, Feature]],
    kinds: Mapping[str, FeatureKind] | None,
    known: dict[str, FeatureKind | None],
) -> pa.Table:
    if kinds is not None:
        for record in records:
            if not record.keys() <= kinds.keys():
                extra = next(name for name in record if name not in kinds)
                raise SchemaMismatchError(f"there is a feature {extra!r}, which tf_schema does not have. Add it.")
    columns = columns_of(records, kinds)
    for name, (kind, _) in columns.items():
        before = known.get(name)
        if before is not None and kind is not None and kind != before:
            raise SchemaMismatchError(
                f"feature {name!r} has values of the kind {kind!r} after some of the kind {before!r}."
            )
        known[name] = before or kind
    return table_of_columns({name: column for name, (_, column) in columns.items()}, len(records))


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """The same tables, all with the columns and types of all."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return tables
    whole, pieces, start = concat(tables), [], 0
    for table in tables:
        pieces.append(
            pa.table({name: whole[name].slice(start, table.num_rows).combine_chunks() for name in whole.column_names})
        )
        start += table.num_rows
    return pieces


def _batches(records: Iterator[tuple[int, dict[str, Feature]]]) -> Iterator[list[dict[str, Feature]]]:
    batch: list[dict[str, Feature]] = []
    size = 0
    for length, record in records:
        batch.append(record)
        size += length
        if len(batch) >= _RECORDS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _examples(stream: Any, path: str) -> Iterator[tuple[int, dict[str, Feature]]]:
    """Yields the size in bytes and the features of each record."""
    checksum = _masked_crc32c()
    index = 0
    while head := stream.read(_HEAD.size):
        if len(head) < _HEAD.size:
            raise _damaged(path, index, "the file ends within its length")
        length, crc = _HEAD.unpack(head)
        if checksum(head[:8]) != crc:
            raise _damaged(
                path, index, "the checksum of its length is wrong; is this a TFRecord file, and not compressed?"
            )
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise _damaged(path, index, f"the file ends within its {length} bytes")
        example = body[:length]
        if checksum(example) != int.from_bytes(body[length:], "little"):
            raise _damaged(path, index, "its checksum is wrong")
        try:
            yield length, features_of(example)
        except MalformedExample as error:
            raise _damaged(path, index, f"it is no tf.train.Example ({error})") from error
        index += 1


def _damaged(path: str, index: int, reason: str) -> FileReadError:
    return FileReadError(f"{path}: record {index} cannot be read: {reason}.")


def _masked_crc32c() -> Callable[[bytes], int]:
    try:
        import google_crc32c
    except ImportError as error:
        raise InvalidArgumentError("read_tfrecords needs google-crc32c: pip install google-crc32c.") from error
    crc32c = google_crc32c.value

    def masked(content: bytes) -> int:
        crc: int = crc32c(content)
        return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF

    return masked
