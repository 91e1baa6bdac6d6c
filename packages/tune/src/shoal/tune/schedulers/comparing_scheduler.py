"""What schedulers have in common that compare trials by a metric at some time of their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from shoal.tune._internal.logic.reported_number import check_mode, check_name, number, reported, score
from shoal.tune.exceptions import InvalidArgumentError, MetricNotReportedError
from shoal.tune.experiment.trial import PAUSED, PENDING, Trial
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController


class ComparingScheduler(TrialScheduler):
    """Compares trials by `metric` at equal `time_attr`.

    Args:
        time_attr: what time is measured by: a number that each report has, and that grows.
        metric: to compare by; None to take the search's.
        mode: 'min' or 'max': what is better; None to take the search's.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    _STATE: ClassVar[tuple[str, ...]] = ()
    """The attributes that a saved search needs. They refer to trials by their ids."""

    def __init__(self, time_attr: str, metric: str | None, mode: str | None) -> None:
        check_name("time_attr", time_attr)
        if metric is not None:
            check_name("metric", metric)
        check_mode(mode)
        super().__init__(metric, mode)
        self._time_attr = time_attr
        self._trials: dict[str, Trial] = {}
        self._made_when_asked: int | None = None

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        check_mode(mode)
        return super().set_search_properties(metric, mode, **spec)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        for name, value in (("metric", self._metric), ("mode", self._mode)):
            if value is None:
                raise InvalidArgumentError(
                    f"{type(self).__name__} compares trials and has no {name}; give {name}= to it or to TuneConfig"
                )
        self._trials[trial.trial_id] = trial

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        self._ended(tune_controller, trial)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        self._ended(tune_controller, trial)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        self._ended(tune_controller, trial)

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._STATE}

    def set_state(self, state: Mapping[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial is over, for whatever reason. May be told more than once."""
        self._trials.pop(trial.trial_id, None)

    def _trial(self, tune_controller: TuneController, trial_id: str) -> Trial:
        if trial_id not in self._trials:  # the state was restored
            self._trials |= {trial.trial_id: trial for trial in tune_controller.get_trials()}
        return self._trials[trial_id]

    def _score(self, trial: Trial, result: Mapping[str, Any]) -> float:
        assert self._metric is not None and self._mode is not None
        return score(result, self._metric, self._mode, "the scheduler's metric", trial)

    def _has_metric(self, trial: Trial, result: Mapping[str, Any]) -> bool:
        """Whether a report has the metric. A search demands it of each, unless it is told not to: then reports without are passed over."""
        assert self._metric is not None
        try:
            reported(result, self._metric, "the scheduler's metric", trial)
        except MetricNotReportedError:
            return False
        return True

    def _time(self, trial: Trial, result: Mapping[str, Any]) -> float:
        return number(result, self._time_attr, "the scheduler's time_attr", trial)

    def _add_unknown(self, tune_controller: TuneController) -> None:
        """Takes in trials that wait: they began before the scheduler's state was stored, were over then, and are tried again now."""
        for trial in tune_controller.get_live_trials():
            # One that runs and is not known was told to end, and has not ended yet: nobody would say again that it is over.
            if trial.status in (PENDING, PAUSED) and not self._is_known(trial):
                self.on_trial_add(tune_controller, trial)

    def _is_known(self, trial: Trial) -> bool:
        return True

    def _asked_in_vain(self, tune_controller: TuneController) -> bool:
        """Whether a place was offered before, and no trial has been made since: then who waits for more trials waits no longer."""
        made = len(tune_controller.get_trials())
        again = made == self._made_when_asked
        self._made_when_asked = made
        return again
