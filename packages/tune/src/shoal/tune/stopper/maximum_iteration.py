"""Ends trials after a number of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.tune._internal.logic.reported_number import check_whole
from shoal.tune.stopper.stopper import Stopper


class MaximumIterationStopper(Stopper):
    """Ends each trial after a number of reports.

    Args:
        max_iter: reports of one trial (>= 1).

    Raises:
        InvalidArgumentError: it is no such number.
    """

    def __init__(self, max_iter: int) -> None:
        check_whole("max_iter", max_iter, 1)
        self._max_iter = max_iter
        self._reports: dict[str, int] = {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        self._reports[trial_id] = self._reports.get(trial_id, 0) + 1
        return self._reports[trial_id] >= self._max_iter

    def stop_all(self) -> bool:
        return False
