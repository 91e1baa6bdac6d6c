"""Where frames run: in the session's workers as tasks, or in actors, one frame at a time each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import shoal
from shoal.util.remote_calls.frame import load_function, run_frame


class Slots(Protocol):
    """Places for frames to run in."""

    @property
    def count(self) -> int:
        """How many frames run at once."""
        ...

    @property
    def takes_several(self) -> bool:
        """Whether a frame may have several calls."""
        ...

    def run(self, function: bytes, way: str, arguments: bytes, shared: tuple[Any, ...]) -> tuple[Any, int]:
        """Starts a frame; returns the reference of what `run_frame` returns, and the slot."""
        ...

    def done(self, slot: int, calls: int) -> None:
        """A frame of so many calls has ended."""
        ...

    def interrupt(self, refs: list[Any]) -> None:
        """Asks what runs to end."""
        ...

    def stop(self, refs: list[Any]) -> None:
        """Ends what runs."""
        ...


class TaskSlots:
    """Tasks. A call whose worker dies fails: it is not run twice.

    Args:
        count: how many at once, at least 1.
        options: of `.options()`.
    """

    def __init__(self, count: int, options: Mapping[str, Any]) -> None:
        self.count = count
        self.takes_several = True
        self._task = _frame_task().options(**{"max_retries": 0, "name": "call", **options})

    def run(self, function: bytes, way: str, arguments: bytes, shared: tuple[Any, ...]) -> tuple[Any, int]:
        return self._task.remote(function, way, arguments, *shared), 0

    def done(self, slot: int, calls: int) -> None:
        pass

    def interrupt(self, refs: list[Any]) -> None:
        for ref in refs:
            shoal.cancel(ref)

    def stop(self, refs: list[Any]) -> None:
        for ref in refs:
            shoal.cancel(ref, force=True)


@functools.cache
def _frame_task() -> Any:
    """Returns the one task of all: what it is made of is pickled once, not for each pool and parallel loop."""
    return shoal.remote(run_frame)


class _Caller:
    """An actor that calls functions after it has called an initializer."""

    def __init__(self, initializer: bytes | None, initargs: tuple[Any, ...]) -> None:
        if initializer is not None:
            load_function(initializer)(*initargs)

    def run(self, function: bytes, way: str, arguments: bytes, *shared: Any) -> tuple[float, bytes]:
        return run_frame(function, way, arguments, *shared)


class ActorSlots:
    """Actors, each of which runs one frame at a time. One that dies is started again; one that has made enough calls is replaced.

    Args:
        count: of actors, at least 1.
        options: of `.options()`.
        initializer: pickled; called in each actor as it starts.
        initargs: its arguments.
        calls_each: after how many calls an actor is replaced, None for never.
    """

    def __init__(
        self,
        count: int,
        options: Mapping[str, Any],
        initializer: bytes | None,
        initargs: tuple[Any, ...],
        calls_each: int | None = None,
    ) -> None:
        self.count = count
        self.takes_several = calls_each is None
        actor = shoal.remote(_Caller).options(**{"max_restarts": -1, "name": None, **options})
        self._new: Callable[[], Any] = lambda: actor.remote(initializer, initargs)
        self._calls_each = calls_each
        self._actors = [self._new() for _ in range(count)]
        self._made = [0] * count
        self._free = list(range(count))

    def run(self, function: bytes, way: str, arguments: bytes, shared: tuple[Any, ...]) -> tuple[Any, int]:
        slot = self._free[-1]
        ref = self._actors[slot].run.remote(function, way, arguments, *shared)
        self._free.pop()
        return ref, slot

    def done(self, slot: int, calls: int) -> None:
        self._made[slot] += calls
        if self._calls_each is not None and self._made[slot] >= self._calls_each:
            self._actors[slot], self._made[slot] = self._new(), 0
        self._free.append(slot)

    def interrupt(self, refs: list[Any]) -> None:
        """Calls of actors cannot be interrupted."""

    def stop(self, refs: list[Any]) -> None:
        for actor in self._actors:
            with contextlib.suppress(shoal.exceptions.ShoalError):
                shoal.kill(actor)
