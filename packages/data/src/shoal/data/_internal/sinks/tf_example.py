"""Rows as `tf.train.Example` messages, in the wire format of protocol buffers.

    message Example   { Features features = 1; }
    message Features  { map<string, Feature> feature = 1; }            // an entry: key = 1, value = 2
    message Feature   { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }
    message BytesList { repeated bytes value = 1; }                    // floats and ints are packed: one run of bytes

Arrays become `TensorProto` messages in a bytes feature, as `tf.io.serialize_tensor` makes them and `tf.io.parse_tensor` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.convert import to_values
from shoal.data._internal.blocks.tensors import is_tensor_type
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

FeatureKind = Literal["bytes", "float", "int"]

_FIELD_1_BYTES = b"\x0a"  # field 1, length-delimited
_FIELD_2_BYTES = b"\x12"
_FIELD_3_BYTES = b"\x1a"
_FIELD_4_BYTES = b"\x22"
_FIELD_1_VARINT = b"\x08"
_FEATURE_FIELD: Mapping[FeatureKind, bytes] = {"bytes": _FIELD_1_BYTES, "float": _FIELD_2_BYTES, "int": _FIELD_3_BYTES}
# tensorflow_metadata.proto.v0.schema_pb2.FeatureType
_SCHEMA_KINDS: Mapping[int, FeatureKind] = {1: "bytes", 2: "int", 3: "float"}
# tensorflow/core/framework/types.proto
_TENSOR_TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10, "uint16": 17, "float16": 19,
    "uint32": 22, "uint64": 23,
}  # fmt: skip


def feature_kinds(tf_schema: Any) -> dict[str, FeatureKind] | None:
    """The kinds of features that a TensorFlow schema asks for.

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
            f"tf_schema={tf_schema!r}: use a schema of tensorflow_metadata, or a dict such as {{'label': 'int'}} with 'bytes', 'float' "
            "and 'int'."
        )
    for name, kind in kinds.items():
        if kind not in _FEATURE_FIELD:
            raise InvalidArgumentError(
                f"tf_schema: the feature {name!r} has the type {kind!r}. Use bytes, float or int."
            )
    return kinds


def examples_of(table: pa.Table, kinds: Mapping[str, FeatureKind] | None) -> Iterator[bytes]:
    """Yields an Example for each row. A null is a feature without values.

    Args:
        table: its columns hold numbers, booleans, strings, bytes, lists of them, or tensors.
        kinds: of the features, where a schema says them; then each column has one.

    Raises:
        ColumnNotFoundError: if a column is not in the schema.
        InvalidArgumentError: if a column cannot be a feature of that kind.
    """
    encoded = [_encoded_column(field, table.column(index), kinds) for index, field in enumerate(table.schema)]
    for features in zip(*encoded, strict=True):
        yield _delimited(_FIELD_1_BYTES, b"".join(features))


def _encoded_column(
    field: pa.Field, column: pa.ChunkedArray, kinds: Mapping[str, FeatureKind] | None
) -> Iterable[bytes]:
    """Of each row, the entry of the map."""
    kind, listed, convert = _feature_of(field)
    if kinds is not None:
        if field.name not in kinds:
            raise ColumnNotFoundError(field.name, kinds, "write_tfrecords(tf_schema=)")
        if kind is not None and kind != kinds[field.name]:
            raise InvalidArgumentError(
                f"write_tfrecords: column {field.name!r} has the type {field.type}, which is {kind} in TFRecord files, and tf_schema says "
                f"{kinds[field.name]}. Convert the column, or correct the schema."
            )
        kind = kinds[field.name]
    key = _delimited(_FIELD_1_BYTES, field.name.encode())
    encode_list = None if kind is None else _LIST_ENCODERS[kind]
    field_tag = _FEATURE_FIELD[kind] if kind is not None else b""
    empty = _delimited(
        _FIELD_1_BYTES, key + _delimited(_FIELD_2_BYTES, b"" if kind is None else _delimited(field_tag, b""))
    )
    for value in to_values(column):
        if value is None or encode_list is None:
            yield empty
            continue
        values = value if listed else [value]
        if convert is not None:
            values = [convert(part) for part in values if part is not None]
        elif listed:
            values = [part for part in values if part is not None]
        yield _delimited(_FIELD_1_BYTES, key + _delimited(_FIELD_2_BYTES, _delimited(field_tag, encode_list(values))))


def _feature_of(field: pa.Field) -> tuple[FeatureKind | None, bool, Callable[[Any], Any] | None]:
    """The kind of feature, whether values are lists, and how to convert a value."""
    types = pa.types
    if is_tensor_type(field.type):
        return "bytes", False, _tensor_message
    listed = bool(types.is_list(field.type) or types.is_large_list(field.type) or types.is_fixed_size_list(field.type))
    kind = field.type.value_type if listed else field.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        return None, listed, None
    if types.is_boolean(kind) or types.is_integer(kind):
        return "int", listed, None
    if types.is_floating(kind):
        return "float", listed, None
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "bytes", listed, str.encode
    if (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    ):
        return "bytes", listed, None
    raise InvalidArgumentError(
        f"write_tfrecords: column {field.name!r} has the type {field.type}, and TFRecord files have numbers, strings, bytes, lists of "
        "them, and "
        "tensors. Convert it first, or use write_parquet."
    )


def _bytes_list(values: Iterable[bytes]) -> bytes:
    return b"".join(_delimited(_FIELD_1_BYTES, value) for value in values)


def _float_list(values: list[float]) -> bytes:
    with np.errstate(over="ignore"):  # the format has 32 bits: what is beyond them is infinite
        return _delimited(_FIELD_1_BYTES, np.asarray(values, "<f8").astype("<f4").tobytes()) if values else b""


def _int_list(values: Iterable[int]) -> bytes:
    packed = b"".join(map(_varint, values))
    return _delimited(_FIELD_1_BYTES, packed) if packed else b""


_LIST_ENCODERS: Mapping[FeatureKind, Callable[[list[Any]], bytes]] = {
    "bytes": _bytes_list,
    "float": _float_list,
    "int": _int_list,
}


def _tensor_message(array: np.ndarray[Any, Any]) -> bytes:
    number = _TENSOR_TYPES.get(array.dtype.name)
    if number is None:
        raise InvalidArgumentError(
            f"write_tfrecords: tensors of {array.dtype} have no type in TensorFlow. Convert them to numbers."
        )
    dimensions = b"".join(
        _delimited(_FIELD_2_BYTES, _FIELD_1_VARINT + _varint(size) if size else b"") for size in array.shape
    )
    content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return (
        _FIELD_1_VARINT + _varint(number) + _delimited(_FIELD_2_BYTES, dimensions) + _delimited(_FIELD_4_BYTES, content)
    )


def _delimited(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    number = int(number) & 0xFFFF_FFFF_FFFF_FFFF  # negative numbers are 64 bits wide
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
