"""A pool of processes: those of the session."""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.pool import CLOSE, RUN, TERMINATE  # type: ignore[attr-defined,unused-ignore]
from types import TracebackType
from typing import Any, TypeVar

import shoal
from shoal import cloudpickle
from shoal.util.multiprocessing.async_result import AsyncResult
from shoal.util.multiprocessing.results import Results
from shoal.util.remote_calls.chunks import chunks
from shoal.util.remote_calls.remote_calls import RemoteCalls
from shoal.util.remote_calls.sizing import cpu_options, session_cpus
from shoal.util.remote_calls.slots import ActorSlots, Slots, TaskSlots

S = TypeVar("S")
T = TypeVar("T")

_CHUNKS_EACH = 4
"""Into how many chunks for each process a map is divided, as in the standard library."""


class Pool:
    """Stands in for `multiprocessing.Pool`: the same calls, order, errors and timeouts; the work is done by the workers of a session,
    which is started where there is none.

    Functions and arguments may be whatever cloudpickle takes. Where a process dies, the calls that it ran raise an error that says why;
    others go on. A pool may be used in a task of another one: tasks that wait give their CPUs to others.

    Args:
        processes: how many calls run at once; by default as many as the session has CPUs. Where there are more than CPUs, each takes a
            share of one.
        initializer: called in each process before others; calls run in actors then.
        initargs: its arguments.
        maxtasksperchild: after how many chunks a process is replaced, None for never.
        context: accepted for the standard library's sake.
        ray_address: of the session to join, as `shoal.init` takes it; None for the one that runs, or a new one.
        ray_remote_args: resources and runtime_env of each call, as `.options()` takes them.

    Raises:
        ValueError: processes or maxtasksperchild is not positive.
        TypeError: initializer cannot be called.

    Example:
        >>> from shoal.util.multiprocessing import Pool
        >>> with Pool(2) as pool:
        ...     print(pool.map(abs, [-1, 2]), pool.starmap(pow, [(2, 5), (3, 2)]))
        [1, 2] [32, 9]
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError(f"processes is {processes}; it must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild < 1):
            raise ValueError(f"maxtasksperchild is {maxtasksperchild!r}; give a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer is {initializer!r}; give a function")
        if ray_address is not None and not shoal.is_initialized():
            shoal.init(ray_address)
        self._processes = session_cpus() if processes is None else processes
        options = {**cpu_options(self._processes), **(ray_remote_args or {})}
        slots: Slots
        if initializer is None and maxtasksperchild is None:
            slots = TaskSlots(self._processes, options)
        else:
            pickled = None if initializer is None else cloudpickle.dumps(initializer)
            slots = ActorSlots(self._processes, options, pickled, tuple(initargs), maxtasksperchild)
        self._calls = RemoteCalls(slots, "shoal-pool")
        self._state = RUN
        self._feeders: list[threading.Thread] = []

    # One call.

    def apply(self, func: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> T:
        """Returns `func(*args, **kwds)`, called in a process."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[T]:
        """Has `func(*args, **kwds)` called in a process. Raises ValueError where the pool takes no more calls."""
        self._check_running()
        result: AsyncResult[T] = AsyncResult(self._calls, 1, _only, callback, error_callback)
        self._calls.submit(func, [(tuple(args), dict(kwds or {}), result.listener(0))])
        return result

    # Maps whose result is one list.

    def map(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = None) -> list[T]:
        """Returns `[func(item) for item in iterable]`, computed in the processes, a chunk at a time."""
        return self.map_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[T]]:
        """Begins what `map` does."""
        return self._map_async(func, iterable, "map", chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[T]:
        """Returns `[func(*item) for item in iterable]`, computed in the processes, a chunk at a time."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[T]]:
        """Begins what `starmap` does."""
        return self._map_async(func, iterable, "starmap", chunksize, callback, error_callback)

    # Maps whose results are iterated over.

    def imap(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = 1) -> Results:
        """Returns an iterator over the results in order; its `next` takes a timeout."""
        return self._imap(func, iterable, chunksize, in_order=True)

    def imap_unordered(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = 1) -> Results:
        """Returns an iterator over the results as they come; its `next` takes a timeout."""
        return self._imap(func, iterable, chunksize, in_order=False)

    # The end.

    def close(self) -> None:
        """Takes no more calls; those that were taken are made."""
        if self._state == RUN:
            self._state = CLOSE
            if not any(feeder.is_alive() for feeder in self._feeders):
                self._calls.close()

    def terminate(self) -> None:
        """Ends at once; results that are waited for raise RuntimeError."""
        self._state = TERMINATE
        self._calls.terminate("the pool was terminated")

    def join(self) -> None:
        """Waits until all calls have ended. Raises ValueError where the pool is neither closed nor terminated."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        for feeder in self._feeders:
            feeder.join()
        self._calls.close()
        self._calls.join()

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def __repr__(self) -> str:
        return f"<{__name__}.Pool state={self._state} pool_size={self._processes}>"

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __del__(self) -> None:
        if getattr(self, "_state", None) == RUN:
            warnings.warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self, stacklevel=2)
            self._calls.close()

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError(f"Pool not running: its state is {self._state}")

    def _map_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Any],
        way: str,
        chunksize: int | None,
        callback: Callable[[list[T]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> AsyncResult[list[T]]:
        self._check_running()
        items = list(iterable)
        if chunksize is None:
            chunksize = max(1, -(-len(items) // (self._processes * _CHUNKS_EACH)))
        parts = list(chunks(iter(items), _checked_chunk_size(chunksize)))
        result: AsyncResult[list[T]] = AsyncResult(self._calls, len(parts), _flat, callback, error_callback)
        if parts:
            self._calls.submit(func, [((chunk,), {}, result.listener(at)) for at, chunk in enumerate(parts)], way)
        return result

    def _imap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None, in_order: bool
    ) -> Results:
        self._check_running()
        size = _checked_chunk_size(1 if chunksize is None else chunksize)
        results = Results(self._calls, in_order)

        def feed() -> None:
            count = 0
            error: BaseException | None = None
            try:
                for chunk in chunks(iter(iterable), size):
                    if self._state == TERMINATE:
                        break
                    self._calls.submit(func, [((chunk,), {}, results.listener(count))], "map")
                    count += 1
                    self._calls.wait_for_room()
            except Exception as raised:
                error = raised
            results.end(count, error)
            if self._state == CLOSE:
                self._calls.close()

        # The iterable may be endless, or wait for results: it is read on a thread of its own.
        feeder = threading.Thread(target=feed, name="shoal-pool-feeder", daemon=True)
        self._feeders = [*(other for other in self._feeders if other.is_alive()), feeder]
        feeder.start()
        return results


def _checked_chunk_size(size: int) -> int:
    if size < 1:
        raise ValueError(f"chunksize is {size}; it must be at least 1")
    return size


def _only(parts: list[Any]) -> Any:
    return parts[0]


def _flat(parts: list[list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(parts))
