"""A first-in-first-out queue that many processes share: an actor behind the interface of `queue.Queue`."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

import shoal
from shoal._core.api.checks import integer, seconds
from shoal.exceptions import InvalidOptionTypeError, ShoalError

_MOST_CALLERS = 1_000_000
"""Callers that wait at a time. With the default for async actors, a thousand consumers would keep every producer out."""


class Empty(queue.Empty, ShoalError):
    """The queue has nothing, or not enough."""


class Full(queue.Full, ShoalError):
    """The queue has no room, or not enough."""


class QueueShutDownError(ShoalError, AttributeError):
    """The queue was shut down through this handle. (An AttributeError as well, which is what Ray's programs see.)"""

    def __init__(self) -> None:
        super().__init__("the queue was shut down; make another one")


class Queue:
    """A queue for any number of producers and consumers, in any tasks and actors. Ends with its creator, unless it is detached.

    Args:
        maxsize: how many items it holds at most; 0 or less for any number.
        actor_options: options of the actor behind it, as in {'num_cpus': 1} or {'lifetime': 'detached', 'name': 'jobs'}.

    Raises:
        QueueShutDownError: by all methods, once `shutdown` was called.

    Example:
        >>> import shoal
        >>> from shoal.util.queue import Queue
        >>> queue = Queue(maxsize=10)
        >>> queue.put("first")
        >>> queue.get()
        'first'
        >>> shoal.shutdown()
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        if not hasattr(maxsize, "__index__"):
            raise InvalidOptionTypeError("maxsize", maxsize, "give a whole number; 0 for any number of items")
        self.maxsize = maxsize
        options = {"max_concurrency": _MOST_CALLERS, **(actor_options or {})}
        self.actor: Any = shoal.remote(_QueueActor).options(**options).remote(maxsize)
        """The actor behind it; None after `shutdown`."""

    def __len__(self) -> int:
        return self.size()

    def _open_actor(self) -> Any:
        if self.actor is None:
            raise QueueShutDownError
        return self.actor

    def size(self) -> int:
        """Returns how many items there are."""
        return int(shoal.get(self._open_actor().size.remote()))

    def qsize(self) -> int:
        """Returns how many items there are."""
        return self.size()

    def empty(self) -> bool:
        """Returns whether there are no items."""
        return self.size() == 0

    def full(self) -> bool:
        """Returns whether there is no room for another item."""
        return self.maxsize > 0 and self.size() >= self.maxsize

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item.

        Args:
            item: anything that can be pickled. Of a reference, its value is added (put it in a list to add the reference).
            block: False to raise at once where there is no room.
            timeout: seconds to wait for room at most; None for no limit.

        Raises:
            Full: there is no room (in time).
            InvalidOptionError: (a ValueError) for a negative timeout.
        """
        _raise_if_told(shoal.get(self._open_actor().put.remote(item, _limit(block, timeout))), Full)

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As `put`, for an event loop."""
        _raise_if_told(await self._open_actor().put.remote(item, _limit(block, timeout)), Full)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the oldest item.

        Args:
            block: False to raise at once where there is none.
            timeout: seconds to wait for one at most; None for no limit.

        Raises:
            Empty: there is none (in time).
            InvalidOptionError: (a ValueError) for a negative timeout.
        """
        return _item_of(shoal.get(self._open_actor().get.remote(_limit(block, timeout))))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As `get`, for an event loop."""
        return _item_of(await self._open_actor().get.remote(_limit(block, timeout)))

    def put_nowait(self, item: Any) -> None:
        """Adds an item. Raises Full where there is no room."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """Takes the oldest item. Raises Empty where there is none."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all items, or none. Raises Full where there is no room for all, InvalidOptionTypeError (a TypeError) for no iterable."""
        if not isinstance(items, Iterable):
            raise InvalidOptionTypeError("items", items, "give a list of items")
        _raise_if_told(shoal.get(self._open_actor().put_batch.remote(list(items))), Full)

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes so many items, or none.

        Raises:
            Empty: there are not so many.
            InvalidOptionError: (a ValueError) for a negative number.
            InvalidOptionTypeError: (a TypeError) for no whole number.
        """
        integer("num_items", num_items, low=0)
        items: list[Any] = _item_of(shoal.get(self._open_actor().get_batch.remote(num_items)))
        return items

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the queue's actor; what is in it is gone.

        Args:
            force: True to end it at once; else calls that have arrived are answered first. Those that still wait fail with ActorDiedError.
            grace_period_s: seconds to wait for the answers at most.
        """
        actor, self.actor = self.actor, None
        if actor is None:
            return
        if not force:
            shoal.wait([actor.__shoal_terminate__.remote()], timeout=grace_period_s)
        shoal.kill(actor)


def _limit(block: bool, timeout: float | None) -> float | None:
    """Seconds that the actor may wait. Raises InvalidOptionError."""
    if not block:
        return 0.0
    return None if timeout is None else seconds("timeout", timeout)


def _raise_if_told(told: str, error: type[ShoalError]) -> None:
    if told:
        raise error(told)


def _item_of(answer: tuple[str, Any]) -> Any:
    told, item = answer
    _raise_if_told(told, Empty)
    return item


class _QueueActor:
    """Answers with what went wrong in words, or ''; so that no error of ours carries a remote traceback."""

    def __init__(self, maxsize: int) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def size(self) -> int:
        return self._queue.qsize()

    async def put(self, item: Any, limit: float | None) -> str:
        if limit == 0:
            if self._queue.full():
                return f"the queue is full ({self._queue.maxsize} items)"
            self._queue.put_nowait(item)
            return ""
        try:
            await asyncio.wait_for(self._queue.put(item), limit)
        except TimeoutError:
            return f"the queue was full ({self._queue.maxsize} items) for {limit} s"
        return ""

    async def get(self, limit: float | None) -> tuple[str, Any]:
        if limit == 0:
            return ("the queue is empty", None) if self._queue.empty() else ("", self._queue.get_nowait())
        try:
            return "", await asyncio.wait_for(self._queue.get(), limit)
        except TimeoutError:
            return f"the queue was empty for {limit} s", None

    async def put_batch(self, items: list[Any]) -> str:
        room = self._queue.maxsize - self._queue.qsize()
        if self._queue.maxsize > 0 and room < len(items):
            return f"the queue has room for {room} items, not for {len(items)}"
        for item in items:
            self._queue.put_nowait(item)
        return ""

    async def get_batch(self, count: int) -> tuple[str, Any]:
        there = self._queue.qsize()
        if there < count:
            return f"the queue has {there} items, not {count}", None
        return "", [self._queue.get_nowait() for _ in range(count)]
