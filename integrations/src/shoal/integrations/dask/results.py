"""Results as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal import DynamicObjectRefGenerator
from shoal.engines import DYNAMIC, STREAMING, serialize

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

Inside = list[Any]
"""References and handles inside of a value: whoever has the list keeps them."""
Retried = bool | tuple[type[BaseException], ...]
"""Errors for which a call is run again."""


class Returns(NamedTuple):
    """How a call gives its results.

    Args:
        number: of results, or STREAMING, DYNAMIC.
        backpressure: how many items of a stream may wait to be taken; -1 for any number.
        client: who takes them.
    """

    number: int
    backpressure: int
    client: str

    @property
    def is_one(self) -> bool:
        """Whether there is one object: at the end, for streams; of no meaning, for no results."""
        return self.number in (0, 1, STREAMING, DYNAMIC)


def outcome(session: DaskEngine, key: str, name: str, returns: Returns, result: Any) -> tuple[list[bytes], Inside]:
    """Returns what a function or method has returned, as bytes, one for each of its results, and what is referred to inside.

    Items of streams are sent as they come, or made objects of their own (num_returns='dynamic').

    Args:
        session: of this worker.
        key: of the task.
        name: of the function or method.
        returns: how it gives its results.
        result: what it has returned.

    Raises what a generator raises, ValueError for another number of results, SerializationError.
    """
    if returns.number == STREAMING:
        with session.producers.begin(key, returns) as producer:
            for item in result:
                producer.send(item)
        return packed_results(None, returns, name)
    if returns.number == DYNAMIC:
        result = DynamicObjectRefGenerator([session.put(item) for item in result])
    return packed_results(result, returns, name)


def packed_results(value: Any, returns: Returns, name: str) -> tuple[list[bytes], Inside]:
    """The same for what is no generator."""
    values = [value if returns.number else None] if returns.is_one else _several(value, returns.number, name)
    parts = [packed(one) for one in values]
    return [data for data, _ in parts], [one for _, inside in parts for one in inside]


def packed(value: Any) -> tuple[bytes, Inside]:
    """Returns a value as bytes, and what is referred to inside. Raises SerializationError."""
    serialized = serialize(value)
    return serialized.to_bytes(), list(serialized.refs)


def _several(value: Any, number: int, name: str) -> Sequence[Any]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise ValueError(
            f"{name} has num_returns={number}, so it has to return {number} values; it returned {type(value).__name__}"
        )
    values = list(value)
    if len(values) != number:
        raise ValueError(f"{name} has num_returns={number}, but returned {len(values)} values")
    return values
