"""Rows to directories: what partition columns make of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.blocks.convert import to_numpy
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

NULL_VALUE = "__HIVE_DEFAULT_PARTITION__"


def check_partition_columns(schema: pa.Schema, columns: Sequence[str], where: str) -> None:
    """Raises an error that names the column if a table cannot be partitioned by these columns.

    Args:
        schema: of the table.
        columns: to partition by.
        where: the operation, for the error.

    Raises:
        ColumnNotFoundError: if one is missing.
        InvalidArgumentError: if one holds lists, structs, tensors or bytes, or no other column is left.
    """
    for column in columns:
        if column not in schema.names:
            raise ColumnNotFoundError(column, schema.names, where)
        kind = schema.field(column).type
        value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
        if isinstance(value_type, pa.BaseExtensionType) or pa.types.is_nested(value_type) or _is_binary(value_type):
            raise InvalidArgumentError(
                f"{where}: column {column!r} has the type {kind}, whose values cannot be names of directories. Partition by a column of "
                "numbers, "
                "strings, booleans or points in time."
            )
    if columns and not set(schema.names) - set(columns):
        raise InvalidArgumentError(
            f"{where}: the dataset has no other columns than {', '.join(map(repr, columns))}, so the files would have none. Leave one out."
        )


def partitioned(table: pa.Table, columns: Sequence[str], *, hive: bool) -> Iterator[tuple[str, pa.Table]]:
    """Yields a relative directory and the rows that belong there, without the partition columns.

    Rows keep their order; directories come in the order of their first rows.

    Args:
        table: the rows.
        columns: of which the directories are made, the outermost first.
        hive: whether directories are called `column=value`, or just `value`.
    """
    encoded = [_encoded(table.column(name)) for name in columns]
    codes = np.zeros(table.num_rows, np.int64)
    for texts, column_codes in encoded:
        # Made dense again each time, so that many columns do not overflow.
        _, codes = np.unique(codes * len(texts) + column_codes, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1, append=-1))
    rest = table.drop_columns(list(columns)).take(pa.array(order))
    starts, ends = bounds[:-1], bounds[1:]
    for group in np.argsort(order[starts], kind="stable"):
        first_row = int(order[starts[group]])
        parts = []
        for name, (texts, column_codes) in zip(columns, encoded, strict=True):
            text = texts[column_codes[first_row]]
            parts.append(f"{_escaped_name(name)}={text}" if hive else _bare_directory(name, text))
        yield "/".join(parts), rest.slice(int(starts[group]), int(ends[group] - starts[group]))


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray[Any, Any]]:
    """The different values as they stand in names of directories, and for each row which of them it has."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # Values are few and rows are many: only the different ones become text.
    encoded = pa.chunked_array(pc.dictionary_encode(column, null_encoding="encode")).unify_dictionaries()
    if not encoded.num_chunks:
        return [], np.empty(0, np.int64)
    values = encoded.chunk(0).dictionary.cast(pa.string()).to_pylist()
    names = [NULL_VALUE if value is None else quote(value, safe="") for value in values]
    indices = np.concatenate([to_numpy(chunk.indices) for chunk in encoded.chunks])
    # Values that differ may have the same text, as null and the name for it.
    texts, code_of_value = np.unique(np.array(names, dtype=object), return_inverse=True)
    return texts.tolist(), code_of_value[indices]


def _escaped_name(name: str) -> str:
    # Readers undo escapes in names, but pyarrow writes none: only what would be read as something else is escaped.
    return re.sub(r"[%/=\0]", lambda match: quote(match.group(), safe=""), name)


def _bare_directory(name: str, text: str) -> str:
    if text in {"", ".", ".."}:
        raise InvalidArgumentError(
            f"partition_cols: column {name!r} has the value {text!r}, which is no name of a directory. Use partitioning_flavor='hive'."
        )
    return text


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))
