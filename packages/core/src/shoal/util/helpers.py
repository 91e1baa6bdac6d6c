"""Results in the order in which they are ready."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import shoal
from shoal._core.api.checks import integer
from shoal.exceptions import InvalidOptionError

if TYPE_CHECKING:
    from shoal._core.api.actor_method import ActorMethod
    from shoal._core.api.remote_function import RemoteFunction
    from shoal._core.process.object_ref import ObjectRef

_NOT_FOR_WAIT = ("num_returns",)


def as_completed(
    refs: Sequence[ObjectRef[Any]], *, chunk_size: int = 10, yield_obj_refs: bool = False, **wait_kwargs: Any
) -> Iterator[Any]:
    """Yields the values of references as they become ready.

    Args:
        refs: references, all different.
        chunk_size: how many to wait for at a time; larger ones are faster, and yield later.
        yield_obj_refs: True to yield the references themselves.
        wait_kwargs: further arguments of `shoal.wait`. With `timeout` (seconds), it ends when nothing was ready for so long.

    Raises:
        InvalidOptionError: (a ValueError) for a chunk_size below 1.

    Example:
        >>> import shoal
        >>> sorted(shoal.util.as_completed([shoal.put(n) for n in range(3)]))
        [0, 1, 2]
        >>> shoal.shutdown()
    """
    _check(chunk_size, wait_kwargs)
    return _as_completed(list(refs), chunk_size, yield_obj_refs, wait_kwargs)


def _as_completed(
    pending: list[ObjectRef[Any]], chunk_size: int, yield_obj_refs: bool, wait_kwargs: dict[str, Any]
) -> Iterator[Any]:
    while pending:
        ready, pending = shoal.wait(pending, num_returns=min(chunk_size, len(pending)), **wait_kwargs)
        if not ready:
            return
        if yield_obj_refs:
            yield from ready
        else:
            yield from shoal.get(ready)


def map_unordered(
    fn: RemoteFunction[Any, Any] | ActorMethod[Any, Any],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **wait_kwargs: Any,
) -> Iterator[Any]:
    """Calls a remote function for each item and yields results as they become ready.

    Args:
        fn: remote function or actor method with one argument.
        items: its arguments; taken only as fast as calls end.
        backpressure_size: how many calls may be in flight; None for any number.
        chunk_size: how many to wait for at a time; larger ones are faster, and yield later.
        yield_obj_refs: True to yield references.
        wait_kwargs: further arguments of `shoal.wait`. With `timeout` (seconds), it ends when nothing was ready for so long.

    Raises:
        InvalidOptionError: (a ValueError) chunk_size below 1, or above backpressure_size.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... def square(x):
        ...     return x * x
        >>> sorted(shoal.util.map_unordered(square, range(4)))
        [0, 1, 4, 9]
        >>> shoal.shutdown()
    """
    _check(chunk_size, wait_kwargs)
    if backpressure_size is not None:
        integer("backpressure_size", backpressure_size, low=1)
    return _map_unordered(fn, iter(items), backpressure_size, chunk_size, yield_obj_refs, wait_kwargs)


def _map_unordered(
    fn: Any,
    items: Iterator[Any],
    limit: int | None,
    chunk_size: int,
    yield_obj_refs: bool,
    wait_kwargs: dict[str, Any],
) -> Iterator[Any]:
    in_flight: deque[ObjectRef[Any]] = deque()
    more = True
    while more or in_flight:
        while more and (limit is None or len(in_flight) < limit):
            try:
                item = next(items)
            except StopIteration:
                more = False
            else:
                in_flight.append(fn.remote(item))
        if not in_flight:
            return
        ready, pending = shoal.wait(list(in_flight), num_returns=min(chunk_size, len(in_flight)), **wait_kwargs)
        if not ready:
            return
        in_flight = deque(pending)
        if yield_obj_refs:
            yield from ready
        else:
            yield from shoal.get(ready)


def _check(chunk_size: int, wait_kwargs: dict[str, Any]) -> None:
    integer("chunk_size", chunk_size, low=1)
    for name in _NOT_FOR_WAIT:
        if name in wait_kwargs:
            raise InvalidOptionError(name, wait_kwargs[name], "it is chosen here; give chunk_size")
