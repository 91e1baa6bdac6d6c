"""The value of a task with num_returns='dynamic': references to all that it has yielded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shoal._core.process.object_ref import ObjectRef


class DynamicObjectRefGenerator:
    """References to the items of a task that was called with num_returns='dynamic'. Iterable, with a length; can be passed on.

    Args:
        refs: the references, in order.
    """

    __slots__ = ("_refs",)

    def __init__(self, refs: list[ObjectRef[Any]]) -> None:
        self._refs = refs

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: int) -> ObjectRef[Any]:
        return self._refs[index]

    def __repr__(self) -> str:
        return f"DynamicObjectRefGenerator({len(self._refs)} references)"

    def __reduce__(self) -> tuple[Any, ...]:
        return DynamicObjectRefGenerator, (self._refs,)
