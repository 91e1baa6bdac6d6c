"""Coroutines of the user's functions: several batches at a time, on one event loop that lasts as long as the user's object."""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

K = TypeVar("K")

AT_A_TIME = 8
"""Batches whose coroutines run at the same time."""


class AsyncCalls:
    """An event loop on a thread of its own, so that what the user's object keeps (a client's connections) lives from batch to batch."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(self._loop,), name="shoal-data-async", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _stop, self._loop, thread)

    def in_order(self, calls: Iterable[tuple[K, Any]]) -> Iterator[tuple[K, Future[Any]]]:
        """Starts calls (anything with them, and a coroutine or an asynchronous generator) ahead; yields each when it is done, in order."""
        running: deque[tuple[K, Future[Any]]] = deque()
        try:
            for key, value in calls:
                running.append((key, asyncio.run_coroutine_threadsafe(whole(value), self._loop)))
                if len(running) >= AT_A_TIME:
                    yield running.popleft()
            while running:
                yield running.popleft()
        finally:
            for _, future in running:
                future.cancel()


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
