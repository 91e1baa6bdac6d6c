"""Stops trials that are worse than the median of the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from math import isnan
from statistics import median
from typing import Any

from shoal.tune._internal.logic.reported_number import WORST, check_number, check_whole
from shoal.tune.experiment.trial import PAUSED, PENDING, Trial
from shoal.tune.schedulers.comparing_scheduler import ComparingScheduler
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController


class MedianStoppingRule(ComparingScheduler):
    """Stops a trial whose best so far is worse than the median of what others had, on average, up to the same time.

    The rule of Golovin et al., *Google Vizier: A Service for Black-Box Optimization*, 2017, section 3.2. NaN ranks worst.

    Args:
        time_attr: what time is measured by; a number that each report has, and that grows.
        metric: to compare by ('a/b' for nested reports); None to take TuneConfig's.
        mode: 'min' or 'max'; None to take TuneConfig's.
        grace_period: nobody is stopped before this time, and no report before it counts for the averages.
        min_samples_required: other trials that must have come as far before anybody is stopped.
        min_time_slice: while there are too few, a trial yields to waiting ones when it has run so long.
        hard_stop: False to pause instead of to stop, until nothing else is to run.

    Raises:
        InvalidArgumentError: an argument cannot be.

    Example:
        >>> from shoal.tune.schedulers import MedianStoppingRule
        >>> rule = MedianStoppingRule("training_iteration", metric="loss", mode="min", grace_period=5)
    """

    _STATE = ("_curves", "_latest", "_means", "_last_pauses", "_below", "_num_stopped")

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: float = 0,
        hard_stop: bool = True,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        check_number("grace_period", grace_period, 0)
        check_whole("min_samples_required", min_samples_required, 1)
        check_number("min_time_slice", min_time_slice, 0)
        self._grace_period = grace_period
        self._min_samples_required = min_samples_required
        self._min_time_slice = min_time_slice
        self._hard_stop = hard_stop
        self._curves: dict[str, _Curve] = {}
        self._latest: list[float] = []
        """How far each trial has come, in order."""
        self._means: dict[float, list[float]] = {}
        """For each whole time, the averages of those that reported at it, in order: times that count iterations are the same for all."""
        self._last_pauses: dict[str, float] = {}
        self._below: dict[str, None] = {}
        """Trials that the rule has found, and that were paused instead of stopped."""
        self._num_stopped = 0

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        if not self._has_metric(trial, result):
            return TrialScheduler.CONTINUE
        time, score = self._time(trial, result), self._score(trial, result)
        curve = self._curves.setdefault(trial.trial_id, _Curve())
        self._append(curve, time, score)
        if trial.trial_id in self._below:
            return TrialScheduler.PAUSE if self._is_waited_for(tune_controller, trial) else TrialScheduler.CONTINUE
        if time < self._grace_period:
            return TrialScheduler.CONTINUE
        count, middle = self._others(curve, time)
        if count < self._min_samples_required:
            return self._yielded(tune_controller, trial, time)
        if curve.best >= middle and curve.best != WORST:
            return TrialScheduler.CONTINUE
        self._num_stopped += 1
        if self._hard_stop:
            return TrialScheduler.STOP
        self._below[trial.trial_id] = None
        return TrialScheduler.PAUSE

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        last: Trial | None = None
        paused: Trial | None = None
        for trial in tune_controller.get_live_trials():
            if trial.status == PENDING and trial.trial_id not in self._below:
                return trial
            if trial.status in (PENDING, PAUSED):
                if trial.trial_id in self._below:
                    last = last or trial
                else:
                    paused = paused or trial
        return paused or (last if self._asked_in_vain(tune_controller) else None)

    def debug_string(self) -> str:
        return f"{type(self).__name__}: {self._num_stopped} stopped"

    def _append(self, curve: _Curve, time: float, score: float) -> None:
        if curve.latest is not None:
            del self._latest[bisect_left(self._latest, curve.latest)]
        insort(self._latest, time)
        while curve.counted and curve.counted[-1] >= time:  # it is tried again from an earlier checkpoint
            last = curve.counted[-1]
            if last in self._means:
                means = self._means[last]
                del means[bisect_left(means, curve.mean_until(last))]
            curve.forget_last()
        curve.append(time, score, counts=time >= self._grace_period)
        if time >= self._grace_period and time == int(time):
            insort(self._means.setdefault(time, []), curve.mean_until(time))

    def _others(self, curve: _Curve, time: float) -> tuple[int, float]:
        """Returns how many others have come as far, and the median of their averages up to then."""
        count = len(self._latest) - bisect_left(self._latest, time) - 1
        means = self._means.get(time, [])
        if len(means) == count + 1:  # all of them reported at this time
            own = bisect_left(means, curve.mean_until(time))
            places = [(count - 1) // 2, count // 2]
            low, high = (means[place if place < own else place + 1] for place in places) if count else (WORST, WORST)
            return count, low if low == high else (low + high) / 2
        others = [
            other.mean_until(time)
            for other in self._curves.values()
            if other is not curve and other.latest is not None and other.latest >= time
        ]
        return count, median(others) if others else WORST

    def _yielded(self, tune_controller: TuneController, trial: Trial, time: float) -> str:
        long_enough = time - self._last_pauses.get(trial.trial_id, 0.0) > self._min_time_slice
        if not long_enough or not self._is_waited_for(tune_controller, trial):
            return TrialScheduler.CONTINUE
        self._last_pauses[trial.trial_id] = time
        return TrialScheduler.PAUSE

    def _is_waited_for(self, tune_controller: TuneController, trial: Trial) -> bool:
        return any(
            other.status in (PENDING, PAUSED) and other is not trial and other.trial_id not in self._below
            for other in tune_controller.get_live_trials()
        )

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        super()._ended(tune_controller, trial)
        self._last_pauses.pop(trial.trial_id, None)
        self._below.pop(trial.trial_id, None)


class _Curve:
    """What one trial reported."""

    __slots__ = ("best", "counted", "latest", "sums")

    def __init__(self) -> None:
        self.best = WORST
        self.latest: float | None = None
        """The time of the latest report."""
        self.counted: list[float] = []
        """Times of the reports that count for the average."""
        self.sums: list[float] = []
        """For each of them, the sum of the scores up to it."""

    def append(self, time: float, score: float, *, counts: bool) -> None:
        self.latest = time
        self.best = max(self.best, score)
        if counts:
            total = score + (self.sums[-1] if self.sums else 0.0)
            self.counted.append(time)
            self.sums.append(WORST if isnan(total) else total)

    def forget_last(self) -> None:
        self.counted.pop()
        self.sums.pop()

    def mean_until(self, time: float) -> float:
        count = bisect_right(self.counted, time)
        return self.sums[count - 1] / count if count else WORST
