"""Results as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shoal.engines import serialize

Inside = list[Any]
"""References and handles inside of a value: whoever has the list keeps them."""


def packed(value: Any) -> tuple[bytes, Inside]:
    """Returns a value as bytes, and what is referred to inside. Raises SerializationError."""
    serialized = serialize(value)
    return serialized.to_bytes(), list(serialized.refs)


def results_of(value: Any, number: int, name: str) -> Sequence[Any]:
    """Returns the values of a task with several results. Raises ValueError where it has returned another number of them."""
    if number == 0:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise ValueError(
            f"{name} has num_returns={number}, so it has to return {number} values; it returned {type(value).__name__}"
        )
    values = list(value)
    if len(values) != number:
        raise ValueError(f"{name} has num_returns={number}, but returned {len(values)} values")
    return values


def packed_results(value: Any, number: int, name: str) -> tuple[list[bytes], Inside]:
    """Returns the values of a call as bytes, one for each of its results, and what is referred to inside."""
    values = [value] if number == 1 else results_of(value, number, name)
    parts = [packed(one) for one in values]
    return [data for data, _ in parts], [one for _, inside in parts for one in inside]
