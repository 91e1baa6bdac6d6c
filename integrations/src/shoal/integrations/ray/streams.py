"""Streaming tasks: Ray's generators, as shoal's API asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray

from shoal.engines import ObjectRef
from shoal.exceptions import GetTimeoutError
from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.references import RayObjectRef


class RayStream:
    """The consumer's side of one streaming task.

    Args:
        generator: what Ray's `.remote()` returned.
    """

    __slots__ = ("_completed", "_lock", "ray_ref")

    def __init__(self, generator: Any) -> None:
        self.ray_ref: Any = generator
        self._completed = RayObjectRef[Any](generator.completed())
        self._lock = threading.Lock()  # Ray's generators are for one thread at a time

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        """Blocks for the next item. Raises StopIteration at the end, GetTimeoutError."""
        try:
            if timeout is not None and not ray.wait([self.ray_ref], timeout=timeout, fetch_local=False)[0]:
                raise GetTimeoutError(f"the next item of the stream did not come within {timeout:g} s")
            with self._lock:
                return RayObjectRef(next(self.ray_ref))
        except ray.exceptions.RayError as error:
            raise error_from_ray(error) from None

    def on_next(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when `next_ref` would not block."""
        generator = self.ray_ref

        def watch() -> None:
            try:
                ray.wait([generator], fetch_local=False)
            finally:
                callback()

        # Ray has no call-back for this.
        threading.Thread(target=watch, name="shoal-ray-stream", daemon=True).start()

    def next_is_ready(self) -> bool:
        return bool(self.ray_ref.next_ready() or self.ray_ref.is_finished())

    def is_finished(self) -> bool:
        return bool(self.ray_ref.is_finished())

    def completed(self) -> ObjectRef[Any]:
        """A reference that is ready when the task has ended; its `get` raises the task's error."""
        return self._completed

    def close(self) -> None:
        """The consumer is gone: Ray drops the items when the generator goes."""
        self.ray_ref = None
