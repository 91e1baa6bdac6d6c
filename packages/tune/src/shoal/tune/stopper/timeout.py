"""Ends a search after some time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from shoal.tune._internal.logic.reported_number import check_number
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.stopper.stopper import Stopper


class TimeoutStopper(Stopper):
    """Ends the whole search after some time.

    The time counts from the first question; what a search that is restored has used before counts too.

    Args:
        timeout: seconds, or a timedelta.
        clock: returns seconds that pass evenly.

    Raises:
        InvalidArgumentError: it is no time.
    """

    def __init__(self, timeout: float | timedelta, *, clock: Callable[[], float] = time.monotonic) -> None:
        if isinstance(timeout, timedelta):
            timeout = timeout.total_seconds()
        check_number("timeout", timeout, 0)
        if timeout != timeout:
            raise InvalidArgumentError("timeout is NaN; give seconds")
        self._timeout = timeout
        self._clock = clock
        self._used = 0.0
        self._asked_at: float | None = None

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.remaining() <= 0

    def remaining(self) -> float:
        """Returns the seconds that are left."""
        now = self._clock()
        if self._asked_at is not None:
            self._used += now - self._asked_at
        self._asked_at = now
        return self._timeout - self._used

    def get_state(self) -> dict[str, Any]:
        return {"used": self._used}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._used, self._asked_at = state["used"], None
