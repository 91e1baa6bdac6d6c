"""Functions of columns of structs and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from shoal.data._internal.expressions.accessors import Accessors
    from shoal.data._internal.expressions.nodes import Expr


class StructMethods:
    """Fields of structs."""

    def __init__(self, expr: Accessors) -> None:
        self._expr = expr

    def field(self, name: str) -> Expr:
        """The values of a field."""
        return self._expr._call("struct_field", indices=[name])

    def field_by_index(self, index: int) -> Expr:
        """The values of the field in this place, from 0 on."""
        return self._expr._call("struct_field", indices=[index])

    def __getitem__(self, key: str | int) -> Expr:
        return self.field_by_index(key) if isinstance(key, int) else self.field(key)


class MapMethods:
    """Both sides of maps."""

    def __init__(self, expr: Accessors) -> None:
        self._expr = expr

    def keys(self) -> Expr:
        """Lists of the keys."""
        return self._expr._call(keys_of_maps)

    def values(self) -> Expr:
        """Lists of the values, in the order of the keys."""
        return self._expr._call(values_of_maps)

    def get(self, key: Any) -> Expr:
        """The value of a key; null where a map does not have it."""
        return self._expr._call("map_lookup", query_key=key, occurrence="first")


def keys_of_maps(column: Any) -> Any:
    """Returns the keys of each map, as a list."""
    return _side(column, "keys")


def values_of_maps(column: Any) -> Any:
    """Returns the values of each map, as a list."""
    return _side(column, "items")


def _side(column: Any, side: str) -> Any:
    if isinstance(column, pa.ChunkedArray):
        kind = column.type.key_type if side == "keys" else column.type.item_type
        return pa.chunked_array([_side(chunk, side) for chunk in column.chunks], pa.list_(kind))
    if column.offset:
        column = pa.concat_arrays([column, column.slice(0, 0)])  # a copy that begins at its beginning
    lists = pa.ListArray.from_arrays(column.offsets, getattr(column, side))
    return pc.if_else(column.is_valid(), lists, pa.scalar(None, lists.type)) if column.null_count else lists
