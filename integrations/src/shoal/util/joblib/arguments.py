"""Large arguments, which many calls of one parallel loop have in common, go to the session's store once."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any, TypeAlias

import shoal

Item: TypeAlias = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""A call: function, args and kwargs."""

_SMALL_TYPES = frozenset({bool, bytes, dict, float, int, list, str, tuple, type(None)})
"""Of arguments that are always the call's own, whatever is in them. Most calls have no others."""


class Shared:
    """Stands in a call for an object of the store: the number of it among those that come with the batch."""

    def __init__(self, position: int) -> None:
        self.position = position


class FileArray:
    """Stands in a call for an array that is a file mapped into memory: what is written to it there is seen here.

    Args:
        array: a `numpy.memmap` that begins at its own offset of the file.
    """

    def __init__(self, array: Any) -> None:
        self._where = (array.filename, array.dtype, array.mode, array.offset, array.shape)
        self._order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"

    def open(self) -> Any:
        """Returns the array, mapped again."""
        import numpy as np

        filename, dtype, mode, offset, shape = self._where
        # "w+" would empty the file.
        mode = "r+" if mode == "w+" else mode
        return np.memmap(filename, dtype, mode, offset, shape, self._order)  # type: ignore[call-overload] # of literals


class SharedArguments:
    """Puts large objects into the store, each once.

    Args:
        least_bytes: the size from which on an object is shared; None shares none.
    """

    def __init__(self, least_bytes: int | None) -> None:
        self._least_bytes = least_bytes
        self._put: dict[int, Any] = {}

    def stand_ins(self, items: list[Item], refs: list[Any]) -> list[Item]:
        """Returns the calls as they travel: the same ones where nothing in them needs standing in for."""
        if all(type(value) in _SMALL_TYPES for _, args, kwargs in items for value in (*args, *kwargs.values())):
            return items
        return [
            (
                function,
                tuple(self.stand_in(value, refs) for value in args),
                {name: self.stand_in(value, refs) for name, value in kwargs.items()},
            )
            for function, args, kwargs in items
        ]

    def stand_in(self, value: Any, refs: list[Any]) -> Any:
        """Returns what travels in place of an argument; where it is shared, its reference is in `refs` then."""
        if type(value) in _SMALL_TYPES:
            return value
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.memmap) and _maps_its_file(value):
            return FileArray(value)
        if self._least_bytes is None or _size(value) < self._least_bytes:
            return value
        ref = self._put.get(id(value))
        if ref is None:
            ref = self._put[id(value)] = shoal.put(value)
            # Another object may have its id once it is gone.
            weakref.finalize(value, self._put.pop, id(value), None)
        if ref not in refs:
            refs.append(ref)
        return Shared(refs.index(ref))

    def clear(self) -> None:
        """Forgets all."""
        self._put.clear()


def original(value: Any, shared: tuple[Any, ...], writable: bool) -> Any:
    """Returns the argument that something stands in for.

    Args:
        value: what came.
        shared: the objects that came with the batch.
        writable: whether functions get copies of them that they may change.
    """
    if isinstance(value, FileArray):
        return value.open()
    if not isinstance(value, Shared):
        return value
    held = shared[value.position]
    return held.copy() if writable else held


def _maps_its_file(array: Any) -> bool:
    # A view of a mapped array has the file's name but not always its own offset.
    return array.filename is not None and not isinstance(array.base, type(array))


def _size(value: Any) -> int:
    """Returns the bytes of an array, a sparse matrix or a table; 0 for anything else."""
    if hasattr(value, "memory_usage") and hasattr(value, "iloc"):
        usage = value.memory_usage(index=True)
        return int(usage if isinstance(usage, int) else usage.sum())
    parts: Iterable[Any] = (value, *(getattr(value, name, None) for name in ("data", "indices", "row")))
    if not hasattr(value, "shape"):
        return 0
    numpy = sys.modules.get("numpy")
    return (
        0
        if numpy is None
        else sum(part.nbytes for part in parts if isinstance(part, numpy.ndarray) and part.dtype != object)
    )
