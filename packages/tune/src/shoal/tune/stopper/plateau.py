"""Ends trials, or the search, when the metric does not change any more."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune._internal.logic.reported_number import check_mode, check_name, check_number, check_whole, number, score
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.stopper.stopper import Stopper


class TrialPlateauStopper(Stopper):
    """Ends a trial whose metric has not changed much in its latest reports.

    Args:
        metric: what is looked at ('a/b' for nested reports).
        std: the trial ends when the standard deviation of its latest `num_results` values is at most this.
        num_results: reports that are looked at; with fewer, no trial ends.
        grace_period: reports before which no trial ends.
        metric_threshold: with mode 'min', only trials at or below it end; with 'max', at or above.
        mode: 'min' or 'max'; needed for `metric_threshold`.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    def __init__(
        self,
        metric: str,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        check_name("metric", metric)
        check_number("std", std, 0)
        check_whole("num_results", num_results, 1)
        check_whole("grace_period", grace_period, 0)
        check_mode(mode)
        if metric_threshold is not None:
            check_number("metric_threshold", metric_threshold, -math.inf)
            if mode is None:
                raise InvalidArgumentError("metric_threshold is given and mode is None; give mode='min' or mode='max'")
        self._metric = metric
        self._std = std
        self._num_results = num_results
        self._grace_period = grace_period
        self._metric_threshold = metric_threshold
        self._mode = mode
        self._reports: dict[str, int] = {}
        self._latest: dict[str, list[float]] = {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        value = number(result, self._metric, "which TrialPlateauStopper looks at", trial_id)
        self._reports[trial_id] = self._reports.get(trial_id, 0) + 1
        latest = self._latest.setdefault(trial_id, [])
        latest.append(value)
        del latest[: -self._num_results]
        if self._reports[trial_id] < self._grace_period or len(latest) < self._num_results:
            return False
        if self._metric_threshold is not None and not (
            value <= self._metric_threshold if self._mode == "min" else value >= self._metric_threshold
        ):
            return False
        return _deviation(latest) <= self._std

    def stop_all(self) -> bool:
        return False


class ExperimentPlateauStopper(Stopper):
    """Ends the search when its best values do not differ much any more.

    Args:
        metric: what is looked at ('a/b' for nested reports).
        std: the search ends when the standard deviation of the best `top` values is at most this.
        top: values that are looked at; with fewer, the search goes on.
        mode: 'min' or 'max': which values are the best.
        patience: reports that must have come since then, without the values differing more again.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    def __init__(self, metric: str, std: float = 0.001, top: int = 10, mode: str = "min", patience: int = 0) -> None:
        check_name("metric", metric)
        check_number("std", std, 0)
        check_whole("top", top, 2)
        check_whole("patience", patience, 0)
        check_mode(mode)
        if mode is None:
            raise InvalidArgumentError("mode is None; give 'min' or 'max'")
        self._metric = metric
        self._std = std
        self._top = top
        self._mode = mode
        self._patience = patience
        self._best: list[float] = []
        """From the worst of the best to the best; more is better."""
        self._flat_reports = 0

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        value = score(result, self._metric, self._mode, "which ExperimentPlateauStopper looks at", trial_id)
        insort(self._best, value)
        del self._best[: -self._top]
        self._flat_reports = self._flat_reports + 1 if self.has_plateaued() else 0
        return self.stop_all()

    def stop_all(self) -> bool:
        return self.has_plateaued() and self._flat_reports >= self._patience

    def has_plateaued(self) -> bool:
        """Returns whether the best values do not differ much."""
        return len(self._best) == self._top and _deviation(self._best) <= self._std


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
