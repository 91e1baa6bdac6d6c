"""Requests that arrive one by one are worked on together."""

from __future__ import annotations

import asyncio
import functools
import inspect
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, overload

from shoal.serve._internal.logic.batch_queue import BatchQueue
from shoal.serve._internal.process.loop_mailbox import running_loop
from shoal.serve._internal.process.metrics import BATCHES
from shoal.serve._internal.process.request_context import CURRENT
from shoal.serve._internal.process.timed_step import first_step_timed
from shoal.serve._internal.process.user_code import LARGEST_BATCH
from shoal.serve.exceptions import InvalidArgumentError

_BATCHERS = "_shoal_serve_batchers"
AT_ONCE = 0.001
"""Seconds: a function that waits for something sooner than that works elsewhere, on a thread or in another process."""


_END = object()
_ENDS_OF_STREAMS = (StopIteration, StopAsyncIteration)
"""In the place of a caller's part: its stream is over, and those of others may go on."""


class _Item:
    """One caller's argument, and where its result goes: a future, or a queue of parts where the function yields."""

    __slots__ = ("_is_over", "context", "future", "parts", "value")

    def __init__(self, value: Any, streams: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.value = value
        self.context = CURRENT.get()
        self.future: asyncio.Future[Any] = loop.create_future()
        self.parts: asyncio.Queue[Any] | None = asyncio.Queue() if streams else None
        self._is_over = False
        """Whether its stream has ended before those of others."""

    async def all_parts(self) -> AsyncIterator[Any]:
        """Yields what is for this caller. Not done in the decorated function, which may be pickled with copies of what it refers to."""
        assert self.parts is not None
        while (part := await self.parts.get()) is not _END:
            yield part

    def fail(self, error: BaseException) -> None:
        if isinstance(error, StopIteration):
            error = RuntimeError(f"the result is {error!r}, which no future takes")
        if not self.future.done():
            self.future.set_exception(error)
            # Nobody may be there to look at it: its caller may have gone.
            self.future.exception()
        if self.parts is not None:
            self.parts.put_nowait(_END)

    def settle(self, result: Any) -> None:
        if self._is_over:
            return
        if self.parts is not None and _ends_stream(result):
            self._is_over = True
            self.parts.put_nowait(_END)
        elif isinstance(result, BaseException):
            self.fail(result)
        elif self.parts is not None:
            self.parts.put_nowait(result)
        elif not self.future.done():
            self.future.set_result(result)


class _Batcher:
    """Gathers the calls of one batched function of one object: those for each multiplexed model apart."""

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
        self._queues: dict[str, BatchQueue[_Item]] = {}
        self._loop = asyncio.get_running_loop()
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._works_elsewhere = False
        """Whether the function left the loop free at once when it was called last."""

    def submit(self, value: Any) -> _Item:
        item = _Item(value, self._streams, self._loop)
        model_id = item.context.model_id
        queue = self._queues.get(model_id)
        if queue is None:
            queue = self._queues[model_id] = self._new_queue()
        queue.add(item, self._loop.time())
        self.advance()
        return item

    def _new_queue(self) -> BatchQueue[_Item]:
        options, size_of = self._options, self._options.batch_size_fn
        size_of_item = None if size_of is None else lambda item: size_of([item.value])
        return BatchQueue(options.max_batch_size, options.batch_wait_timeout_s, size_of_item)

    def remove(self, item: _Item) -> None:
        """Its caller has gone."""
        queue = self._queues.get(item.context.model_id)
        if queue is not None:
            queue.remove(item)

    def changed(self) -> None:
        """The options are others. From any thread: a `reconfigure` that is not async runs on one."""
        if running_loop() is self._loop:
            self._take_options()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_options)

    def _take_options(self) -> None:
        for queue in self._queues.values():
            queue.max_size, queue.wait = self._options.max_batch_size, self._options.batch_wait_timeout_s
        self.advance()

    def advance(self) -> None:
        """Begins the batches that are due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queues and len(self._workers) < self._options.max_concurrent_batches:
            batch = self._next()
            if not batch:
                return
            worker = self._loop.create_task(self._work(batch))
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self.advance()

    def _next(self) -> list[_Item]:
        """Takes the batch that is due, of those the one that has waited longest; where none is, has `advance` called when one will be."""
        waiting = {model_id: due for model_id, queue in self._queues.items() if (due := queue.due()) is not None}
        now = self._loop.time()
        for model_id in sorted(waiting, key=waiting.__getitem__):
            batch = self._queues[model_id].take(now)
            if batch:
                return batch
        self._queues = {model_id: self._queues[model_id] for model_id in waiting}
        if waiting:
            self._timer = self._loop.call_at(min(waiting.values()), self.advance)
        return []

    async def _work(self, batch: list[_Item]) -> None:
        """Works on batches as long as some are due.

        Where they are worked on elsewhere, the next one begins before the results of one are given out, which takes a while for many
        callers. Where they hold the loop, callers would wait for it: they have their results first.
        """
        while batch:
            CURRENT.set(batch[0].context)
            results = await first_step_timed(self._results(batch), self._timed)
            if self._works_elsewhere:
                self._loop.call_soon(_give_out, batch, results)
            else:
                _give_out(batch, results)
                await asyncio.sleep(0)
            batch = self._next()

    def _timed(self, first_step_s: float) -> None:
        self._works_elsewhere = first_step_s < AT_ONCE

    async def _results(self, batch: list[_Item]) -> Sequence[Any]:
        """Returns what each caller gets, or the error that all do."""
        begun = self._loop.time()
        try:
            values = [item.value for item in batch]
            if not self._streams:
                return _checked(await self._function(values), len(batch))
            async for parts in self._function(values):
                _give_out(batch, _checked(parts, len(batch)))
            return [_END] * len(batch)
        except BaseException as error:
            if not isinstance(error, Exception):
                _give_out(batch, [error] * len(batch))
                raise
            return [error] * len(batch)
        finally:
            BATCHES.ended(self._name, len(batch), 1e3 * (self._loop.time() - begun))


def _ends_stream(part: Any) -> bool:
    return isinstance(part, _ENDS_OF_STREAMS) or any(part is end for end in _ENDS_OF_STREAMS)


def _give_out(batch: list[_Item], results: Sequence[Any]) -> None:
    for item, result in zip(batch, results, strict=True):
        item.settle(result)


def _checked(results: Any, wanted: int) -> Sequence[Any]:
    """Returns the results of a batch. Raises TypeError where there are not as many as there are items."""
    if not isinstance(results, Sequence) and hasattr(results, "__len__"):
        results = list(results)
    if not isinstance(results, Sequence) or isinstance(results, str | bytes) or len(results) != wanted:
        what = f"{len(results)} results" if hasattr(results, "__len__") else repr(results)
        raise TypeError(
            f"the batched function got a list of {wanted} and gave {what}; it has to give one result for each, in order"
        )
    return results


class _Options:
    """Of one decorated function; changed at run time."""

    def __init__(
        self,
        max_batch_size: int,
        batch_wait_timeout_s: float,
        max_concurrent_batches: int,
        batch_size_fn: Callable[[list[Any]], int] | None,
    ) -> None:
        self.max_batch_size = _whole_number("max_batch_size", max_batch_size)
        self.batch_wait_timeout_s = _seconds(batch_wait_timeout_s)
        self.max_concurrent_batches = _whole_number("max_concurrent_batches", max_concurrent_batches)
        self.batch_size_fn = batch_size_fn
        self._batchers: list[weakref.ref[_Batcher]] = []
        """Of objects that are there; a batcher refers to its object, which lives no longer for that."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_batchers": []}

    def add(self, batcher: _Batcher) -> None:
        """They are another one's, too."""
        self._batchers = [*(one for one in self._batchers if one() is not None), weakref.ref(batcher)]

    def changed(self) -> None:
        for found in self._batchers:
            batcher = found()
            if batcher is not None:
                batcher.changed()


class _Batchers(dict[str, _Batcher]):
    """Those of one object, by the names of its functions. They belong to an event loop: a copy of the object begins without."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Batchers, ()


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
    itself for all. An async generator yields such lists, and its callers iterate over their own parts; `StopIteration` in a caller's place
    ends its stream, while those of others go on. All items of a list are for one multiplexed model, which
    `serve.get_multiplexed_model_id()` tells.

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
        found: _Batchers = holder.__dict__.setdefault(_BATCHERS, _Batchers())
        key = function.__qualname__
        batcher = found.get(key)
        if batcher is None or batcher._loop is not asyncio.get_running_loop():
            bound = functools.partial(function, owner) if has_self else function
            batcher = found[key] = _Batcher(bound, options, streams)
            options.add(batcher)
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
            batcher.remove(item)
            raise

    async def stream(*args: Any) -> AsyncIterator[Any]:
        batcher, item = submitted(args)
        try:
            async for part in item.all_parts():
                yield part
        finally:
            batcher.remove(item)
        if item.future.done():
            item.future.result()

    wrapper: Any = functools.wraps(function)(stream if streams else wait)

    def set_max_batch_size(size: int) -> None:
        options.max_batch_size = _whole_number("max_batch_size", size)
        options.changed()

    def set_batch_wait_timeout_s(seconds: float) -> None:
        options.batch_wait_timeout_s = _seconds(seconds)
        options.changed()

    wrapper.set_max_batch_size = set_max_batch_size
    wrapper.set_batch_wait_timeout_s = set_batch_wait_timeout_s
    if options.batch_size_fn is None:
        setattr(wrapper, LARGEST_BATCH, lambda: options.max_batch_size)
    result: Callable[..., Awaitable[Any]] = wrapper
    return result


def _whole_number(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(f"{name} is {value!r}; give a whole number >= 1")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise InvalidArgumentError(f"batch_wait_timeout_s is {value!r}; give seconds >= 0")
    return float(value)
