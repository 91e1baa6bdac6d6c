"""How instances of chosen classes are pickled in this process: the users' own serializers, and torch's CPU tensors."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Reducer: TypeAlias = Callable[[Any], Any]
"""Returns what `__reduce__` would."""


class CustomReducers:
    """A table of reducers by exact class. Safe to use from several threads: tables are replaced, never changed."""

    __slots__ = ("_by_class", "_flat", "_flat_source", "_table", "_table_source")

    def __init__(self) -> None:
        self._by_class: dict[type, Reducer] = {}
        self._table: dict[type, Any] = {}
        self._table_source: tuple[Any, ...] = (None,)
        self._flat: dict[type, Any] = {}
        self._flat_source: tuple[Any, ...] = (None,)

    def register(self, cls: type, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
        """From now on instances of exactly `cls` travel as `deserializer` and what `serializer(instance)` returns."""

        def reduce(instance: Any) -> tuple[Callable[[Any], Any], tuple[Any]]:
            return deserializer, (serializer(instance),)

        self._by_class = {**self._by_class, cls: reduce}

    def deregister(self, cls: type) -> None:
        """Forgets what `register` said of `cls`; nothing happens if it said nothing."""
        self._by_class = {known: reducer for known, reducer in self._by_class.items() if known is not cls}

    def table(self) -> dict[type, Any] | None:
        """Returns a pickler's `dispatch_table`; None while Python's own (`copyreg`) is all there is.

        It is the same dict until something in it changes.
        """
        by_class = self._by_class
        has_torch = "torch" in sys.modules
        if not by_class and not has_torch:
            return None
        source = (by_class, len(copyreg.dispatch_table), has_torch)
        if not _same(source, self._table_source):
            self._table = {**copyreg.dispatch_table, **_tensor_reducers(), **by_class}
            self._table_source = source
        return self._table

    def table_over(self, base: Mapping[type, Any]) -> dict[type, Any]:
        """Returns this table over `base` (that of cloudpickle, which has Python's own in it) as one flat dict."""
        table = self.table()
        source = (table, base, len(copyreg.dispatch_table))
        if not _same(source, self._flat_source):
            self._flat = {**base, **(table or {})}
            self._flat_source = source
        return self._flat


def _same(source: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return source[0] is other[0] and source[1:] == other[1:]


def _tensor_reducers() -> dict[type, Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    from shoal._core.system.tensor_reducer import tensor_reducers

    return tensor_reducers(torch)


custom_reducers = CustomReducers()
"""Those of this process: pickling has no caller that could hand them in (`__reduce__` methods call it, too)."""
