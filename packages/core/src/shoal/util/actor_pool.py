"""A pool of actors that share out work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import shoal
from shoal.exceptions import InvalidOptionError

V = TypeVar("V")
R = TypeVar("R")


class ActorPool(Generic[V, R]):
    """Hands each value to the first actor that is idle.

    Args:
        actors: handles of the actors; they should serve nobody else meanwhile.

    Example:
        >>> import shoal
        >>> from shoal.util import ActorPool
        >>> @shoal.remote
        ... class Doubler:
        ...     def double(self, n):
        ...         return 2 * n
        >>> pool = ActorPool([Doubler.remote(), Doubler.remote()])
        >>> list(pool.map(lambda actor, n: actor.double.remote(n), [1, 2, 3]))
        [2, 4, 6]
        >>> shoal.shutdown()
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle: list[Any] = list(actors)
        self._actor_of: dict[Any, Any] = {}
        """Reference -> the actor that works on it."""
        self._ref_of: dict[int, Any] = {}
        """Index of a submission -> its reference, until its result was taken."""
        self._next_index = 0
        self._next_return = 0
        self._waiting: deque[tuple[Callable[[Any, V], Any], V]] = deque()
        self._out_of_order = False

    def map(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[R]:
        """Applies `fn(actor, value)`, which returns a reference, to all values; yields results in the order of the values.

        Results of earlier submissions are dropped first.
        """
        return self._map(fn, values, self.get_next)

    def map_unordered(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[R]:
        """As `map`, but yields results in the order in which they are ready."""
        return self._map(fn, values, self.get_next_unordered)

    def _map(self, fn: Callable[[Any, V], Any], values: Iterable[V], take: Callable[[], R]) -> Iterator[R]:
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0)
            except TimeoutError:
                continue
        self._out_of_order = False
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[R]:
            while self.has_next():
                yield take()

        return results()

    def submit(self, fn: Callable[[Any, V], Any], value: V) -> None:
        """Has `fn(actor, value)` called with the next idle actor; now, or when there is one.

        Args:
            fn: returns the reference of the actor's work.
            value: what to work on.
        """
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        ref = fn(actor, value)
        self._actor_of[ref] = (self._next_index, actor)
        self._ref_of[self._next_index] = ref
        self._next_index += 1

    def has_next(self) -> bool:
        """Returns whether results are to come."""
        return bool(self._actor_of)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> R:
        """Returns the next result, in the order of submission.

        Args:
            timeout: seconds to wait at most.
            ignore_if_timedout: True to give up the result if it is not there in time.

        Raises:
            StopIteration: there are no results to come.
            TimeoutError: it is not ready in time.
            InvalidOptionError: (a ValueError) `get_next_unordered` was used before.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._out_of_order or self._next_return not in self._ref_of:
            raise InvalidOptionError("get_next", "after get_next_unordered", "use one of both for all results")
        ref = self._ref_of[self._next_return]
        late = False
        if timeout is not None and not shoal.wait([ref], timeout=timeout)[0]:
            late = True
            if not ignore_if_timedout:
                raise TimeoutError("Timed out waiting for result")
        del self._ref_of[self._next_return]
        self._next_return += 1
        self._free(ref)
        if late:
            raise TimeoutError("Timed out waiting for result; it is dropped (ignore_if_timedout)")
        result: R = shoal.get(ref)
        return result

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> R:
        """Returns whichever result is ready first. Arguments and errors as for `get_next`."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        ready, _ = shoal.wait(list(self._actor_of), num_returns=1, timeout=timeout)
        if not ready:
            if not ignore_if_timedout:
                raise TimeoutError("Timed out waiting for result")
            ready = [next(iter(self._actor_of))]
        ref = ready[0]
        index, _ = self._actor_of[ref]
        self._out_of_order = True
        del self._ref_of[index]
        self._next_return = max(self._next_return, index + 1)
        self._free(ref)
        result: R = shoal.get(ref)
        return result

    def _free(self, ref: Any) -> None:
        _, actor = self._actor_of.pop(ref)
        self._add_idle(actor)

    def _add_idle(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            fn, value = self._waiting.popleft()
            self.submit(fn, value)
        elif not self._actor_of:
            self._out_of_order = False
            self._next_return = self._next_index

    def has_free(self) -> bool:
        """Returns whether an actor is idle and nothing waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool and returns it; None where there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor. Raises InvalidOptionError (a ValueError) for one that is in the pool."""
        if actor in self._idle or any(actor == busy for _, busy in self._actor_of.values()):
            raise InvalidOptionError("actor", actor, "it is in the pool already")
        self._add_idle(actor)
