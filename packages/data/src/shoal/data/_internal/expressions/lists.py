"""Functions of columns of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from shoal.data._internal.expressions.accessors import Accessors
    from shoal.data._internal.expressions.nodes import Expr


class ListMethods:
    """Null stays null."""

    def __init__(self, expr: Accessors) -> None:
        self._expr = expr

    def len(self) -> Expr:
        """How many items."""
        return self._expr._call("list_value_length")

    def get(self, index: int) -> Expr:
        """The item in this place, from 0 on or, below 0, from the end; null where there is none."""
        return self._expr._call(items_at, index=index)

    def __getitem__(self, key: int | slice) -> Expr:
        if isinstance(key, slice):
            return self.slice(key.start or 0, key.stop, key.step or 1)
        return self.get(key)

    def slice(self, start: int = 0, stop: int | None = None, step: int = 1) -> Expr:
        """Lists of the items from `start` to before `stop`."""
        return self._expr._call("list_slice", start=start, stop=stop, step=step, return_fixed_size_list=False)

    def sort(self, order: str = "ascending", null_placement: str = "at_end") -> Expr:
        """Lists in order: 'ascending' or 'descending', nulls 'at_start' or 'at_end'."""
        return self._expr._call(sorted_lists, order=order, null_placement=null_placement)

    def flatten(self) -> Expr:
        """Of lists of lists, lists of the items of all of them."""
        return self._expr._call(flattened_lists)


class FixedListMethods(ListMethods):
    """Lists that all have one length."""

    def to_list(self) -> Expr:
        """As ordinary lists."""
        return self._expr._call(plain_lists)


def items_at(column: Any, index: int) -> Any:
    """Returns an item of each list."""
    lists = plain_lists(column)
    lengths = pc.list_value_length(lists)
    there = pc.greater(lengths, index) if index >= 0 else pc.greater_equal(lengths, -index)
    starts = lists.offsets[:-1] if index >= 0 else lists.offsets[1:]
    places = pc.if_else(pc.fill_null(there, False), pc.add(starts, index), pa.scalar(None, starts.type))
    return lists.values.take(places)


def sorted_lists(column: Any, order: str, null_placement: str) -> Any:
    """Returns each list in order."""
    lists = plain_lists(column)
    parents, values = pc.list_parent_indices(lists), lists.flatten()
    table = pa.table({"list": parents, "full": values.is_valid(), "value": values})
    nulls = "ascending" if null_placement == "at_start" else "descending"
    places = pc.sort_indices(table, sort_keys=[("list", "ascending"), ("full", nulls), ("value", order)])
    return _lists(lists, values.take(places), pc.list_value_length(lists))


def flattened_lists(column: Any) -> Any:
    """Returns the items of the lists in each list."""
    outer = plain_lists(column)
    inner = plain_lists(outer.flatten())
    ends = np.concatenate(([0], np.cumsum(np.asarray(pc.fill_null(pc.list_value_length(inner), 0)))))
    counts = np.concatenate(([0], np.cumsum(np.asarray(pc.fill_null(pc.list_value_length(outer), 0)))))
    lengths = np.diff(ends[counts])
    return _lists(outer, inner.flatten(), pa.array(lengths))


def plain_lists(column: Any) -> Any:
    """Returns one array of ordinary lists, of lists of any kind."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # no chunks at all
        array = pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_fixed_size_list(array.type) or pa.types.is_large_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    return pa.concat_arrays([array, array.slice(0, 0)]) if array.offset else array


def _lists(like: Any, values: Any, lengths: Any) -> Any:
    offsets = pa.array(np.concatenate(([0], np.cumsum(np.asarray(pc.fill_null(lengths, 0))))).astype(np.int32))
    made = pa.ListArray.from_arrays(offsets, values)
    return pc.if_else(like.is_valid(), made, pa.scalar(None, made.type)) if like.null_count else made
