"""`tf.train.Example` messages to columns: the reverse of what the sink of TFRecord files writes, and what TensorFlow writes.

Protocol buffers allow more than TensorFlow makes of them: fields in any order, lists that are not packed or come in parts, fields that
are not
known here. All of that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import table_without_columns
from shoal.data.exceptions import SchemaMismatchError

FeatureKind = Literal["bytes", "float", "int"]

_KIND_OF_FIELD: Mapping[int, FeatureKind] = {1: "bytes", 2: "float", 3: "int"}
_ARROW_TYPES: Mapping[FeatureKind | None, pa.DataType] = {
    "bytes": pa.binary(),
    "float": pa.float32(),
    "int": pa.int64(),
    None: pa.null(),
}
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
# Below this, a loop is faster than numpy.
_FEW_BYTES = 64


class MalformedExample(ValueError):
    """The bytes are no `tf.train.Example`."""


@dataclass(frozen=True)
class Feature:
    """The values of one feature of one record.

    Args:
        kind: None where the message does not say, because there are no values.
        values: an array or a list of bytes.
    """

    kind: FeatureKind | None
    values: np.ndarray[Any, Any] | Sequence[bytes]


def features_of(example: bytes) -> dict[str, Feature]:
    """The features of a message, by name.

    Raises:
        MalformedExample: if the bytes are no such message.
    """
    features: dict[str, Feature] = {}
    try:
        for number, _, outer in _fields(memoryview(example)):
            if number != 1 or not isinstance(outer, memoryview):
                continue
            for entry_number, _, entry in _fields(outer):
                if entry_number == 1 and isinstance(entry, memoryview):
                    name, feature = _entry(entry)
                    features[name] = feature
    except (IndexError, ValueError) as error:
        raise MalformedExample(str(error)) from error
    return features


def columns_of(
    records: Sequence[Mapping[str, Feature]], kinds: Mapping[str, FeatureKind] | None = None
) -> dict[str, tuple[FeatureKind | None, pa.Array]]:
    """A list column for each feature, with its kind; null where a record does not have it.

    Args:
        records: the features of each.
        kinds: which features there are, where a schema says so.

    Raises:
        SchemaMismatchError: if a feature has values of different kinds, or of another one than the schema says.
    """
    names = list(kinds) if kinds is not None else list(dict.fromkeys(name for record in records for name in record))
    return {name: _column(name, records, None if kinds is None else kinds[name]) for name in names}


def list_type(kind: FeatureKind | None) -> pa.DataType:
    """The type of a list column."""
    return pa.list_(_ARROW_TYPES[kind])


def without_lists(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The same rows; a column of lists none of which has more than one value becomes a column of these values."""
    names = tables[0].column_names if tables else []
    single = [name for name in names if all(_longest(table.column(name)) <= 1 for table in tables)]
    return [_with_single_values(table, single) for table in tables]


def table_of_columns(columns: Mapping[str, pa.Array], num_rows: int) -> pa.Table:
    """A table, also where records have no features."""
    return pa.table(dict(columns)) if columns else table_without_columns(num_rows)


def _longest(column: pa.ChunkedArray) -> int:
    lengths = [np.diff(chunk.offsets.to_numpy()).max(initial=0) for chunk in column.chunks]
    return max(map(int, lengths), default=0)


def _with_single_values(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        chunks = []
        for chunk in table.column(name).chunks:
            offsets = chunk.offsets.to_numpy()
            # A row without a value takes none of them: null.
            indices = pa.array(offsets[:-1], mask=np.diff(offsets) == 0)
            chunks.append(chunk.values.take(indices))
        column = pa.chunked_array(chunks, table.schema.field(name).type.value_type)
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _column(
    name: str, records: Sequence[Mapping[str, Feature]], kind: FeatureKind | None
) -> tuple[FeatureKind | None, pa.Array]:
    features = [record.get(name) for record in records]
    for feature in features:
        if feature is None or feature.kind is None:
            continue
        if kind is not None and feature.kind != kind:
            if not len(feature.values):
                continue
            raise SchemaMismatchError(
                f"feature {name!r} has values of the kind {feature.kind!r} where {kind!r} is expected. Write it as one kind, or "
                "correct tf_schema."
            )
        kind = feature.kind if kind is None else kind
    present = [feature.values for feature in features if feature is not None and len(feature.values)]
    offsets = np.zeros(len(features) + 1, np.int32)
    np.cumsum([0 if feature is None else len(feature.values) for feature in features], out=offsets[1:])
    if kind == "bytes" or not present:
        values = pa.array([value for values in present for value in values], _ARROW_TYPES[kind])
    else:
        values = pa.array(np.concatenate(present), _ARROW_TYPES[kind])
    mask = pa.array([feature is None for feature in features], pa.bool_())
    return kind, pa.ListArray.from_arrays(pa.array(offsets), values, type=list_type(kind), mask=mask)


def _entry(entry: memoryview) -> tuple[str, Feature]:
    name, feature = "", Feature(None, ())
    for number, _, value in _fields(entry):
        if number == 1 and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number == 2 and isinstance(value, memoryview):
            feature = _feature(value)
    return name, feature


def _feature(message: memoryview) -> Feature:
    feature = Feature(None, ())
    for number, _, value in _fields(message):
        kind = _KIND_OF_FIELD.get(number)
        if kind is not None and isinstance(value, memoryview):
            feature = Feature(kind, _LISTS[kind](value))
    return feature


def _bytes_list(message: memoryview) -> list[bytes]:
    return [bytes(value) for number, _, value in _fields(message) if number == 1 and isinstance(value, memoryview)]


def _float_list(message: memoryview) -> np.ndarray[Any, Any]:
    parts = [
        np.frombuffer(value, "<f4")
        for number, wire, value in _fields(message)
        if number == 1 and isinstance(value, memoryview) and wire in {_DELIMITED, _FIXED32}
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, "<f4"), *parts])


def _int_list(message: memoryview) -> np.ndarray[Any, Any]:
    parts = [
        _signed([value]) if isinstance(value, int) else _varints(value)
        for number, wire, value in _fields(message)
        if number == 1 and wire in {_VARINT, _DELIMITED}
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


_LISTS: Mapping[FeatureKind, Callable[[memoryview], np.ndarray[Any, Any] | list[bytes]]] = {
    "bytes": _bytes_list,
    "float": _float_list,
    "int": _int_list,
}


def _varints(packed: memoryview) -> np.ndarray[Any, Any]:
    if len(packed) and packed[-1] >= 0x80:
        raise ValueError("a list of numbers ends within a number")
    if len(packed) <= _FEW_BYTES:
        numbers, position = [], 0
        while position < len(packed):
            number, position = _varint(packed, position)
            numbers.append(number)
        return _signed(numbers)
    parts = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(parts < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(parts)) - np.repeat(starts, ends - starts + 1)
    if int(places.max()) > 9:
        raise ValueError("a number has more than ten bytes")
    shifted = (parts & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.bitwise_or.reduceat(shifted, starts).view(np.int64)


def _signed(numbers: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.array([number & 0xFFFF_FFFF_FFFF_FFFF for number in numbers], np.uint64).view(np.int64)


def _fields(message: memoryview) -> list[tuple[int, int, memoryview | int]]:
    """The fields of a message: number, wire type, and a number or bytes."""
    fields: list[tuple[int, int, memoryview | int]] = []
    position, size = 0, len(message)
    while position < size:
        # Nearly all keys and lengths are single bytes, and a call costs more than reading one.
        key = message[position]
        position += 1
        if key >= 0x80:
            key, position = _varint(message, position - 1)
        wire = key & 7
        if wire == _DELIMITED:
            length = message[position]
            position += 1
            if length >= 0x80:
                length, position = _varint(message, position - 1)
        elif wire == _VARINT:
            number, position = _varint(message, position)
            fields.append((key >> 3, wire, number))
            continue
        elif wire == _FIXED32:
            length = 4
        elif wire == _FIXED64:
            length = 8
        else:
            raise ValueError(f"there is no wire type {wire}")
        end = position + length
        if end > size:
            raise ValueError("a field is longer than its message")
        fields.append((key >> 3, wire, message[position:end]))
        position = end
    return fields


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    byte = message[position]
    position += 1
    if byte < 0x80:
        return byte, position
    number, shift = byte & 0x7F, 7
    while True:
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")
