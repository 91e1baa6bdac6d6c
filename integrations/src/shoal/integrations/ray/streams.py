"""Streaming tasks: Ray's generators, as shoal's API asks for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import ray

import shoal
from shoal import engines
from shoal.engines import ObjectRef
from shoal.exceptions import GetTimeoutError, SessionEndedError
from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.references import RayObjectRef
from shoal.integrations.ray.sessions import check_not_ended

_FOREVER = -1
"""As a lock's timeout."""


class RayStream:
    """The consumer's side of one streaming task.

    Args:
        generator: what Ray's `.remote()` returned.
    """

    __slots__ = ("_callbacks", "_completed", "_engine", "_generator", "_taking", "_watching")

    def __init__(self, generator: Any) -> None:
        self._engine = engines.current()
        self._generator: Any = generator
        self._completed = RayObjectRef[Any](generator.completed())
        self._taking = threading.Lock()  # Ray's generators are for one thread at a time
        self._watching = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def ray_ref(self) -> Any:
        """Ray's generator. Raises SessionEndedError for one of an earlier session: Ray ends the program where such a one is looked at."""
        if not shoal.is_initialized() or engines.current() is not self._engine:
            raise SessionEndedError("the stream belongs to a session that has ended")
        return self._generator

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        """Blocks for the next item. Raises StopIteration at the end, GetTimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        # Waited for inside, so that what is waited for is not taken by another thread.
        if not self._taking.acquire(timeout=_FOREVER if timeout is None else timeout):
            raise _late(timeout)
        try:
            if deadline is not None:
                left = max(0.0, deadline - time.monotonic())
                if not ray.wait([self.ray_ref], timeout=left, fetch_local=False)[0]:
                    raise _late(timeout)
            return RayObjectRef(next(self.ray_ref))
        except ray.exceptions.RayError as error:
            raise error_from_ray(error) from None
        except SystemExit:
            check_not_ended()
            raise
        finally:
            self._taking.release()

    def on_next(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when `next_ref` would not block."""
        with self._watching:
            self._callbacks.append(callback)
            is_first = len(self._callbacks) == 1
        if is_first:
            # Ray has no call-back for this. One thread is enough, however often a consumer gives up and comes again.
            threading.Thread(target=self._watch, args=[self.ray_ref], name="shoal-ray-stream", daemon=True).start()

    def _watch(self, generator: Any) -> None:
        try:
            ray.wait([generator], fetch_local=False)
        finally:
            with self._watching:
                callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def next_is_ready(self) -> bool:
        return bool(self.ray_ref.next_ready() or self.ray_ref.is_finished())

    def is_finished(self) -> bool:
        return bool(self.ray_ref.is_finished())

    def completed(self) -> ObjectRef[Any]:
        """A reference that is ready when the task has ended; its `get` raises the task's error."""
        return self._completed

    def close(self) -> None:
        """The consumer is gone: Ray drops the items when the generator goes."""
        self._generator = None


def _late(timeout: float | None) -> GetTimeoutError:
    return GetTimeoutError(f"the next item of the stream did not come within {timeout:g} s")
