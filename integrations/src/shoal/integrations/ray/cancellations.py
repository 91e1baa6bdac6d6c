"""Cancelling tasks, so that Ray is not asked when a task is ending anyway."""

from __future__ import annotations

import threading
from typing import Any

import ray

from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.references import held_refs
from shoal.integrations.ray.streams import RayStream

_KEPT = 10_000


class Cancellations:
    """Passes cancellations on to Ray: each once, and none of a task whose result is there.

    Ray 2.60 ends the whole program ("Tried to complete task that was not pending") where a cancellation meets a task whose end it is about
    to note. That is how it often is where a task is cancelled a second time, or just after somebody got its result.
    """

    def __init__(self) -> None:
        self._passed_on: dict[tuple[bytes, bool], None] = {}
        self._lock = threading.Lock()

    def cancel(self, waitable: Any, force: bool, recursive: bool) -> None:
        """Cancels the task that makes an object or a stream. Raises ValueError for `force` on an actor's call."""
        [held] = held_refs([waitable])
        [result] = held_refs([waitable.completed()]) if isinstance(waitable, RayStream) else [held]
        try:
            if ray.wait([result], timeout=0, fetch_local=False)[0] or not self._is_new(
                result.task_id().binary(), force
            ):
                return
            ray.cancel(held, force=force, recursive=recursive)
        except Exception as error:
            raise error_from_ray(error) from None

    def _is_new(self, task_id: bytes, force: bool) -> bool:
        """Notes a cancellation; returns whether it is the first of its kind."""
        with self._lock:
            if (task_id, force) in self._passed_on:
                return False
            if len(self._passed_on) >= _KEPT:
                self._passed_on.pop(next(iter(self._passed_on)))
            self._passed_on[task_id, force] = None
            return True
