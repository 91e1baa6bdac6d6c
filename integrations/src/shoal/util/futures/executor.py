"""An executor whose calls run in the session's workers."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import shoal
from shoal import cloudpickle
from shoal.util.remote_calls.at_exit import finish_at_exit
from shoal.util.remote_calls.chunks import chunks
from shoal.util.remote_calls.remote_calls import Call, RemoteCalls
from shoal.util.remote_calls.sizing import cpu_options, session_cpus
from shoal.util.remote_calls.slots import ActorSlots, Slots, TaskSlots

T = TypeVar("T")


class _RemoteFuture(concurrent.futures.Future[Any]):
    """A future that can be cancelled until its call has started."""

    _calls: RemoteCalls
    _call: Call

    def running(self) -> bool:
        return self._call.started and not self.done()

    def cancel(self) -> bool:
        if self.cancelled():
            return True
        if not self._calls.withdraw(self._call):
            return False
        cancelled = super().cancel()
        # No worker will come to it and tell those that wait for it.
        self.set_running_or_notify_cancel()
        return cancelled


class Executor(concurrent.futures.Executor):
    """Runs functions in the workers of a session, which is started where there is none.

    What `concurrent.futures.ProcessPoolExecutor` does, with these differences: functions and arguments may be whatever cloudpickle takes
    (lambdas, functions of `__main__`, closures); a worker that dies fails the calls that it ran, with a reason, and no others; where the
    session ends first, calls that are not over raise SessionEndedError.

    Args:
        max_workers: how many calls run at once; by default as many as the session has CPUs. Where there are more than CPUs, each takes a
            share of one.
        initializer: called once in each process before others; calls run in actors then.
        initargs: its arguments.
        task_options: resources and runtime_env of each call, as `.options()` takes them.

    Raises:
        ValueError: max_workers is not positive.
        TypeError: initializer cannot be called.

    Example:
        >>> from shoal.util.futures import Executor
        >>> with Executor(max_workers=2) as executor:
        ...     print(list(executor.map(pow, [2, 3], [5, 2])))
        [32, 9]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        task_options: Mapping[str, Any] | None = None,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError(f"max_workers is {max_workers}; it must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer is {initializer!r}; give a function")
        count = session_cpus() if max_workers is None else max_workers
        options = {**cpu_options(count), **(task_options or {})}
        slots: Slots
        if initializer is None:
            slots = TaskSlots(count, options)
        else:
            slots = ActorSlots(count, options, cloudpickle.dumps(initializer), initargs)
        self._max_workers = count  # Libraries that are given an executor look for it under this name.
        self._has_initializer = initializer is not None
        self._calls = RemoteCalls(slots, "shoal-executor")
        finish_at_exit(self._calls)
        self._shutdown_lock = threading.Lock()
        self._is_shut_down = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Calls a function in a worker.

        Raises:
            RuntimeError: the executor is shut down.
            Exception: the function cannot be pickled. (What its arguments raise comes from the future.)
        """
        future: concurrent.futures.Future[T] = self._submit_all(fn, [(args, kwargs)])[0]
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Returns an iterator over the results, in order.

        Args:
            fn: a function of an item of each iterable.
            iterables: read at once, up to the end of the shortest, unless `buffersize` is given.
            timeout: seconds from now until TimeoutError is raised by an item that is not there yet; None for no limit.
            chunksize: how many items travel as one call.
            buffersize: how many results may be waited for ahead of the one that is asked for, None for all.

        Raises:
            ValueError: chunksize or buffersize is not positive.
        """
        if chunksize < 1:
            raise ValueError(f"chunksize is {chunksize}; it must be at least 1")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"buffersize is {buffersize}; it must be at least 1")
        deadline = None if timeout is None else time.monotonic() + timeout
        parts = chunks(zip(*iterables, strict=False), chunksize)
        first = self._submit_all(fn, (((chunk,), {}) for chunk in itertools.islice(parts, buffersize)), "starmap")
        return self._results(fn, parts, first, deadline)

    def _results(
        self,
        fn: Callable[..., T],
        parts: Iterator[list[Any]],
        futures: list[concurrent.futures.Future[list[T]]],
        deadline: float | None,
    ) -> Iterator[T]:
        futures.reverse()
        try:
            while futures:
                left = None if deadline is None else deadline - time.monotonic()
                results = futures.pop().result(left)
                for chunk in itertools.islice(parts, 1):
                    futures[:0] = self._submit_all(fn, [((chunk,), {})], "starmap")
                yield from results
        finally:
            for future in futures:
                future.cancel()

    def _submit_all(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, dict[str, Any]]], way: str = "call"
    ) -> list[Any]:
        futures: list[_RemoteFuture] = []

        def entries() -> Iterator[tuple[Any, dict[str, Any], Callable[[bool, Any], None]]]:
            for args, kwargs in calls:
                future = _RemoteFuture()
                futures.append(future)
                yield args, kwargs, functools.partial(_settle, future, self._has_initializer)

        with self._shutdown_lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            for future, call in zip(futures, self._calls.submit(fn, entries(), way), strict=True):
                future._calls, future._call = self._calls, call
        return futures

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls.

        Args:
            wait: return after all calls have ended.
            cancel_futures: cancel those that have not started.
        """
        with self._shutdown_lock:
            self._is_shut_down = True
        if cancel_futures:
            for call in self._calls.withdraw_all():
                call.listener(False, concurrent.futures.CancelledError())
        self._calls.close()
        if wait:
            self._calls.join()

    def __del__(self) -> None:
        if hasattr(self, "_calls"):
            self._calls.close()


def _settle(future: _RemoteFuture, has_initializer: bool, returned: bool, value: Any) -> None:
    if isinstance(value, concurrent.futures.CancelledError):
        concurrent.futures.Future.cancel(future)
    if not future.set_running_or_notify_cancel():
        return
    if returned:
        future.set_result(value)
    elif has_initializer and isinstance(value, shoal.exceptions.ActorDiedError):
        broken = BrokenProcessPool(f"a process of the executor has ended: {value}")
        broken.__cause__ = value
        future.set_exception(broken)
    else:
        future.set_exception(value)
