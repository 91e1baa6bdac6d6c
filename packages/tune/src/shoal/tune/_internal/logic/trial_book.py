"""The trials of a search, and what the search knows of each."""

from __future__ import annotations

from collections.abc import Collection

from shoal.tune._internal.logic.life import Life
from shoal.tune._internal.logic.metrics import MetricAnalysis
from shoal.tune.experiment.trial import ERROR, PENDING, TERMINATED, Trial


class TrialBook:
    """Those of one search, in the order in which they were made."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.lives: dict[str, Life] = {}
        self._live: dict[str, Trial] = {}
        self._changed: dict[str, Trial] = {}

    @property
    def live(self) -> Collection[Trial]:
        """Trials that are not over."""
        return self._live.values()

    @property
    def has_changed(self) -> bool:
        """Whether `take_changed` would return something."""
        return bool(self._changed)

    def add(self, trial: Trial) -> Life:
        """A trial belongs to the search from now on."""
        life = Life(trial, MetricAnalysis(trial.metric_analysis), tag=trial.experiment_tag)
        self.trials.append(trial)
        self.lives[trial.trial_id] = life
        self.change(trial)
        if not trial.is_finished():
            self._live[trial.trial_id] = trial
        return life

    def set_status(self, life: Life, status: str) -> None:
        """A trial is something else than it was."""
        trial = life.trial
        trial.status = status
        self.change(trial)
        if status in (TERMINATED, ERROR):
            self._live.pop(trial.trial_id, None)

    def change(self, trial: Trial) -> None:
        """A trial is not as it was stored."""
        self._changed[trial.trial_id] = trial

    def take_changed(self) -> list[Life]:
        """Returns the trials that are not as they were when this was called last."""
        changed, self._changed = self._changed, {}
        return [self.lives[one] for one in changed]

    def first_waiting(self) -> Life | None:
        """Returns the first trial that is pending, and that no executor holds."""
        for trial in self._live.values():
            if trial.status == PENDING and (life := self.lives[trial.trial_id]).held_by is None:
                return life
        return None
