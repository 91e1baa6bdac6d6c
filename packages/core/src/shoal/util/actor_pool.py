"""A pool of actors that share out work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NoReturn, TypeVar

import shoal
from shoal.exceptions import InvalidOptionError

V = TypeVar("V")
R = TypeVar("R")


class ActorPool(Generic[V, R]):
    """Hands each value to an actor that is idle, or to the first that will be.

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
        self._at_work: dict[Any, tuple[int, Any]] = {}
        """Reference -> number of the submission, and the actor that works on it."""
        self._ref_of: dict[int, Any] = {}
        """Number of a submission -> its reference, until its result was taken."""
        self._submissions = 0
        self._next_in_order = 0
        """The submission whose result `get_next` returns next."""
        self._waiting: deque[tuple[Callable[[Any, V], Any], V]] = deque()

    def map(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[R]:
        """Applies `fn(actor, value)`, which returns a reference, to all values; yields results in the order of the values.

        Results of earlier submissions are waited for and dropped first.

        Raises:
            InvalidOptionError: (a ValueError) the pool has no actors.
        """
        return self._map(fn, values, self.get_next)

    def map_unordered(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[R]:
        """As `map`, but yields results in the order in which they are ready."""
        return self._map(fn, values, self.get_next_unordered)

    def _map(self, fn: Callable[[Any, V], Any], values: Iterable[V], take: Callable[[], R]) -> Iterator[R]:
        while self.has_next():
            self.get_next_unordered()
        for value in values:
            self.submit(fn, value)
        if self._waiting and not self._at_work:
            self._waiting.clear()
            raise InvalidOptionError("actors", [], "a pool without actors does nothing; push(actor) adds one")
        return self._results(take)

    def _results(self, take: Callable[[], R]) -> Iterator[R]:
        while self.has_next():
            yield take()

    def submit(self, fn: Callable[[Any, V], Any], value: V) -> None:
        """Has `fn(actor, value)` called with an idle actor: now, or as soon as there is one.

        Args:
            fn: returns the reference of the actor's work.
            value: what to work on.
        """
        if self._idle:
            self._begin(fn, value)
        else:
            self._waiting.append((fn, value))

    def _begin(self, fn: Callable[[Any, V], Any], value: V) -> None:
        ref = fn(self._idle[-1], value)
        self._at_work[ref] = (self._submissions, self._idle.pop())
        self._ref_of[self._submissions] = ref
        self._submissions += 1

    def has_next(self) -> bool:
        """Returns whether results are to come."""
        return bool(self._at_work)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> R:
        """Returns the next result, in the order of submission; raises what its work raised.

        Args:
            timeout: seconds to wait at most; None for no limit.
            ignore_if_timedout: True to give the result up if it is not there in time: its actor counts as idle again.

        Raises:
            StopIteration: there are no results to come.
            TimeoutError: it is not ready in time.
            InvalidOptionError: (a ValueError) `get_next_unordered` has taken it already.
        """
        self._check_not_empty()
        if self._next_in_order not in self._ref_of:
            raise InvalidOptionError("get_next", "after get_next_unordered", "take all results with one of both")
        ref = self._ref_of[self._next_in_order]
        if timeout is not None and not shoal.wait([ref], timeout=timeout)[0]:
            self._late(ref, timeout, give_up=ignore_if_timedout)
        return self._take(ref)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> R:
        """Returns whichever result is ready first. Arguments and errors as for `get_next`.

        With `ignore_if_timedout`, the oldest submission is given up.
        """
        self._check_not_empty()
        ready, _ = shoal.wait(list(self._at_work), num_returns=1, timeout=timeout)
        if not ready:
            self._late(next(iter(self._at_work)), timeout, give_up=ignore_if_timedout)
        return self._take(ready[0])

    def _check_not_empty(self) -> None:
        if not self.has_next():
            raise StopIteration("No more results to get")

    def _late(self, ref: Any, timeout: float | None, *, give_up: bool) -> NoReturn:
        if give_up:
            self._let_go(ref)
        told = "; its result is given up (ignore_if_timedout=True)" if give_up else ""
        raise TimeoutError(f"Timed out waiting for result: not ready within {timeout} s{told}")

    def _take(self, ref: Any) -> R:
        self._let_go(ref)
        result: R = shoal.get(ref)
        return result

    def _let_go(self, ref: Any) -> None:
        """The result of `ref` is the caller's, or nobody's: its actor does what waits."""
        number, actor = self._at_work.pop(ref)
        del self._ref_of[number]
        self._next_in_order = max(self._next_in_order, number + 1)
        self._add_idle(actor)

    def _add_idle(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self._begin(*self._waiting.popleft())

    def has_free(self) -> bool:
        """Returns whether an actor is idle and nothing waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool and returns it; None where there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor. Raises InvalidOptionError (a ValueError) for one that is in the pool."""
        if actor in self._idle or any(actor == busy for _, busy in self._at_work.values()):
            raise InvalidOptionError("actor", actor, "it is in the pool already")
        self._add_idle(actor)
