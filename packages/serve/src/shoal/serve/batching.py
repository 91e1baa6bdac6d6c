"""Requests that arrive one by one are worked on together."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, overload

from shoal.serve._internal.logic.batch_queue import BatchQueue
from shoal.serve._internal.process.metrics import BATCHES
from shoal.serve._internal.process.user_code import LARGEST_BATCH
from shoal.serve.exceptions import InvalidArgumentError

_BATCHERS = "_shoal_serve_batchers"
AT_ONCE = 0.001
"""Seconds: a function that waits for something sooner than that works elsewhere, on a thread or in another process."""


class _Item:
    """One caller's argument, and where its result goes: a future, or a queue of parts where the function yields."""

    __slots__ = ("future", "parts", "value")

    def __init__(self, value: Any, streams: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.value = value
        self.future: asyncio.Future[Any] = loop.create_future()
        self.parts: asyncio.Queue[Any] | None = asyncio.Queue() if streams else None

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            # Nobody may be there to look at it: its caller may have gone.
            self.future.exception()
        if self.parts is not None:
            self.parts.put_nowait(_END)

    def settle(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self.fail(result)
        elif self.parts is not None:
            self.parts.put_nowait(result)
        elif not self.future.done():
            self.future.set_result(result)


_END = object()


class _Batcher:
    """Gathers the calls of one batched function of one object."""

    def __init__(
        self,
        function: Callable[[list[Any]], Any],
        options: _Options,
        streams: bool,
    ) -> None:
        self._function = function
        self._name = str(getattr(getattr(function, "func", function), "__qualname__", function))
        self._options = options
        self._streams = streams
        size_of = options.batch_size_fn
        self.queue: BatchQueue[_Item] = BatchQueue(
            options.max_batch_size,
            options.batch_wait_timeout_s,
            None if size_of is None else lambda item: size_of([item.value]),
        )
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._step_begun = 0.0
        self._works_elsewhere = False
        """Whether the function left the loop free at once when it was called last."""

    def submit(self, value: Any) -> _Item:
        item = _Item(value, self._streams, self._loop)
        self.queue.add(item, self._loop.time())
        self.advance()
        return item

    def advance(self) -> None:
        """Begins the batches that are due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while len(self.queue) and len(self._running) < self._options.max_concurrent_batches:
            batch = self.queue.take(self._loop.time())
            if not batch:
                due = self.queue.due()
                assert due is not None
                self._timer = self._loop.call_at(due, self.advance)
                return
            task = self._loop.create_task(self._work(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)
            # Called when the task's first step is over: it is the next in the loop's queue.
            self._loop.call_soon(self._first_step_ended)

    def _first_step_ended(self) -> None:
        self._works_elsewhere = time.perf_counter() - self._step_begun < AT_ONCE

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.advance()

    def _begin_next(self) -> None:
        """The running task's function is over. Where the next batch is worked on elsewhere, it begins before results are given out, which
        takes a while for many callers; where it would hold the loop, callers would wait for it, and it begins after."""
        task = asyncio.current_task()
        if self._works_elsewhere and task is not None:
            self._ended(task)

    async def _work(self, batch: list[_Item]) -> None:
        begun = self._loop.time()
        self._step_begun = time.perf_counter()
        try:
            values = [item.value for item in batch]
            if self._streams:
                async for results in self._function(values):
                    self._settle(batch, results)
                self._begin_next()
                for item in batch:
                    assert item.parts is not None
                    item.parts.put_nowait(_END)
            else:
                results = await self._function(values)
                self._begin_next()
                self._settle(batch, results)
        except BaseException as error:
            for item in batch:
                item.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            BATCHES.ended(self._name, len(batch), 1e3 * (self._loop.time() - begun))

    def _settle(self, batch: list[_Item], results: Any) -> None:
        if not isinstance(results, Sequence) and hasattr(results, "__len__"):
            results = list(results)
        if not isinstance(results, Sequence) or isinstance(results, str | bytes) or len(results) != len(batch):
            what = f"{len(results)} results" if hasattr(results, "__len__") else repr(results)
            raise TypeError(
                f"the batched function got a list of {len(batch)} and gave {what}; it has to give one result for each, in order"
            )
        for item, result in zip(batch, results, strict=True):
            item.settle(result)


class _Options:
    """Of one decorated function; changed at run time."""

    def __init__(
        self,
        max_batch_size: int,
        batch_wait_timeout_s: float,
        max_concurrent_batches: int,
        batch_size_fn: Callable[[list[Any]], int] | None,
    ) -> None:
        self.max_batch_size = _checked_size("max_batch_size", max_batch_size)
        self.batch_wait_timeout_s = _checked_wait(batch_wait_timeout_s)
        self.max_concurrent_batches = _checked_size("max_concurrent_batches", max_concurrent_batches)
        self.batch_size_fn = batch_size_fn
        self.batchers: list[_Batcher] = []

    def changed(self) -> None:
        for batcher in self.batchers:
            batcher.queue.max_size = self.max_batch_size
            batcher.queue.wait = self.batch_wait_timeout_s
            batcher.advance()


@overload
def batch(_func: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def batch(
    *,
    max_batch_size: int = 10,
    batch_wait_timeout_s: float = 0.01,
    max_concurrent_batches: int = 1,
    batch_size_fn: Callable[[list[Any]], int] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def batch(
    _func: Any = None,
    /,
    *,
    max_batch_size: int = 10,
    batch_wait_timeout_s: float = 0.01,
    max_concurrent_batches: int = 1,
    batch_size_fn: Callable[[list[Any]], int] | None = None,
) -> Any:
    """Makes an async function of a list callable with one item: calls that come at about the same time share a list.

    The function returns one result for each item, in order; an exception among them is raised for its caller alone, one that it raises
    itself for all. An async generator yields such lists, and its callers iterate over their own parts.

    Args:
        max_batch_size: items in a list, at most.
        batch_wait_timeout_s: seconds that the first item waits for others.
        max_concurrent_batches: lists that are worked on at a time.
        batch_size_fn: the size of a list of items; `max_batch_size` bounds the sum over single items.

    The decorated function has `set_max_batch_size(n)` and `set_batch_wait_timeout_s(seconds)`.

    Raises:
        InvalidArgumentError: (a ValueError) a size is below 1, a time below 0, or the function is not async.

    Example:
        >>> import asyncio
        >>> from shoal import serve
        >>> @serve.batch(max_batch_size=4)
        ... async def double(numbers):
        ...     return [2 * number for number in numbers]
        >>> async def main():
        ...     return await asyncio.gather(*(double(number) for number in range(3)))
        >>> asyncio.run(main())
        [0, 2, 4]
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = _Options(max_batch_size, batch_wait_timeout_s, max_concurrent_batches, batch_size_fn)
        return _batched(function, options)

    return decorate if _func is None else decorate(_func)


def _batched(function: Callable[..., Any], options: _Options) -> Callable[..., Any]:
    streams = inspect.isasyncgenfunction(function)
    if not streams and not inspect.iscoroutinefunction(function):
        raise InvalidArgumentError(
            f"@serve.batch is on {getattr(function, '__name__', function)!r}, which is not async; "
            f"write `async def`, and have it take a list"
        )
    has_self = next(iter(inspect.signature(function).parameters), "") == "self"

    def batcher_of(owner: Any) -> _Batcher:
        """One for each object, kept in it: it goes when the object goes."""
        holder = owner if owner is not None else wrapper
        found: dict[str, _Batcher] = holder.__dict__.setdefault(_BATCHERS, {})
        key = function.__qualname__
        batcher = found.get(key)
        if batcher is None or batcher._loop is not asyncio.get_running_loop():
            bound = functools.partial(function, owner) if has_self else function
            batcher = found[key] = _Batcher(bound, options, streams)
            options.batchers = [*(one for one in options.batchers if not one._loop.is_closed()), batcher]
        return batcher

    def submitted(args: tuple[Any, ...]) -> tuple[_Batcher, _Item]:
        *owner, value = args
        batcher = batcher_of(owner[0] if has_self else None)
        return batcher, batcher.submit(value)

    async def wait(*args: Any) -> Any:
        batcher, item = submitted(args)
        try:
            return await item.future
        except asyncio.CancelledError:
            batcher.queue.remove(item)
            raise

    async def stream(*args: Any) -> AsyncIterator[Any]:
        batcher, item = submitted(args)
        assert item.parts is not None
        try:
            while (part := await item.parts.get()) is not _END:
                yield part
        finally:
            batcher.queue.remove(item)
        if item.future.done():
            item.future.result()

    wrapper: Any = functools.wraps(function)(stream if streams else wait)

    def set_max_batch_size(size: int) -> None:
        options.max_batch_size = _checked_size("max_batch_size", size)
        options.changed()

    def set_batch_wait_timeout_s(seconds: float) -> None:
        options.batch_wait_timeout_s = _checked_wait(seconds)
        options.changed()

    wrapper.set_max_batch_size = set_max_batch_size
    wrapper.set_batch_wait_timeout_s = set_batch_wait_timeout_s
    if options.batch_size_fn is None:
        setattr(wrapper, LARGEST_BATCH, lambda: options.max_batch_size)
    result: Callable[..., Awaitable[Any]] = wrapper
    return result


def _checked_size(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(f"{name} is {value!r}; give a whole number >= 1")
    return value


def _checked_wait(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise InvalidArgumentError(f"batch_wait_timeout_s is {value!r}; give seconds >= 0")
    return float(value)
