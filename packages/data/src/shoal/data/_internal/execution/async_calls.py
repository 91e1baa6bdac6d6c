"""Coroutines of the user's functions: several batches at a time, on one event loop that lasts as long as the user's object."""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, NamedTuple, TypeVar

K = TypeVar("K")

AT_A_TIME = 8
"""Batches whose coroutines run at the same time."""


class _Running(NamedTuple, Generic[K]):
    """A call whose value (a coroutine, an asynchronous generator) was given to the loop."""

    key: K
    value: Any
    future: Future[Any]


class AsyncCalls:
    """An event loop on a thread of its own, so that what the user's object keeps (a client's connections) lives from batch to batch."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(self._loop,), name="shoal-data-async", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _stop, self._loop, thread)

    def in_order(self, calls: Iterable[tuple[K, Any]]) -> Iterator[tuple[K, Future[Any]]]:
        """Starts calls (anything with them, and a coroutine or an asynchronous generator) ahead; yields each when it is done, in order."""
        running: deque[_Running[K]] = deque()
        try:
            for key, value in calls:
                running.append(_Running(key, value, asyncio.run_coroutine_threadsafe(whole(value), self._loop)))
                if len(running) >= AT_A_TIME:
                    yield running[0].key, running[0].future
                    running.popleft()
            while running:
                yield running[0].key, running[0].future
                running.popleft()
        finally:
            for one in running:
                self._cancel(one)

    def _cancel(self, one: _Running[K]) -> None:
        if one.future.done():
            _close_unstarted(one.value)
            return
        one.future.cancel()
        # Only the loop's own thread can tell whether it has begun.
        self._loop.call_soon_threadsafe(_close_unstarted, one.value)


def _close_unstarted(value: Any) -> None:
    """A coroutine whose task was cancelled before its first step has nobody else to close it."""
    if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
        value.close()


def is_async(value: Any) -> bool:
    """Whether a function gave something that is to be awaited."""
    return inspect.isawaitable(value) or hasattr(value, "__anext__")


async def whole(value: Any) -> Any:
    """Returns what is awaited, or an iterator of all that an asynchronous generator yields."""
    return iter([item async for item in value]) if hasattr(value, "__anext__") else await value


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(_cancel_and_stop, loop)
    thread.join()


def _cancel_and_stop(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    ending: Coroutine[Any, Any, Any] = _ended(loop, tasks)
    loop.create_task(ending)


async def _ended(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    loop.stop()
