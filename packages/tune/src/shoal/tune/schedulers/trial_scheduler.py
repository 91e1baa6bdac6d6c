"""What a scheduler is: results go in, decisions come out. No clock, file or process, so a search can be replayed by plain calls."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from shoal.tune.experiment.trial import PAUSED, PENDING, Trial


class TuneController(Protocol):
    """What a scheduler may ask of the search, and ask it to do. Requests are carried out after the scheduler has returned, in order."""

    def get_trials(self) -> Sequence[Trial]:
        """Returns all trials, in the order in which they were made."""

    def get_live_trials(self) -> Sequence[Trial]:
        """Returns those that are not over."""

    def stop_trial(self, trial: Trial) -> None:
        """Ends a trial that is paused, pending or running."""

    def save_trial(self, trial: Trial) -> None:
        """Has a running trial of a class make a checkpoint before its next step. Functions give checkpoints by themselves: no effect."""

    def exploit(self, trial: Trial, donor: Trial, config: Mapping[str, Any], tag: str = "") -> None:
        """Has a trial go on from the donor's latest checkpoint, with another configuration. `tag` is added to its experiment_tag.

        For the trial that reported just now return NOOP beside it; a paused one becomes pending.
        """

    def set_resources(self, trial: Trial, resources: Sequence[Mapping[str, float]]) -> None:
        """Has a trial go on from its latest checkpoint with other resources. For the one that reported just now return NOOP beside it."""


class TrialScheduler:
    """Decides which trials run on, wait or end. Derive from it.

    `metric` and `mode` come from the constructor or from TuneConfig (`set_search_properties`); where both give them they have to be equal.
    """

    CONTINUE = "CONTINUE"
    PAUSE = "PAUSE"
    """The trial stores a checkpoint and gives its place to another."""
    STOP = "STOP"
    NOOP = "NOOP"
    """Something else was asked of the controller for this trial."""

    supports_buffered_results = False
    """Whether several results of one trial may be told at once, after the trial has gone on: only if it never stops or pauses one."""

    ties_trials = False
    """Whether what it knows of a trial makes sense only with the others as they were at that time: it pauses them for one another, or has
    them go on from each other. A restored search then goes back to when the scheduler's state was stored, with all trials."""

    def __init__(self, metric: str | None = None, mode: str | None = None) -> None:
        self._metric = metric
        self._mode = mode

    @property
    def metric(self) -> str | None:
        """What it compares trials by."""
        return self._metric

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Takes the search's metric and mode. Returns False where it has another of its own already."""
        if self._metric is not None and metric is not None and self._metric != metric:
            return False
        if self._mode is not None and mode is not None and self._mode != mode:
            return False
        self._metric = self._metric or metric
        self._mode = self._mode or mode
        return True

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial was made; it is pending."""

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial failed for good."""

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """A trial reported. Returns CONTINUE, PAUSE, STOP or NOOP."""
        return self.CONTINUE

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has ended by itself; `result` is its last."""

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """A paused or pending trial was ended by somebody else."""

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """A place is free. Returns a pending or paused trial for it; None to leave it free, or for a new trial.

        Where this is not overridden, the order of trials is known, and short ones are handed to their processes a moment before a place is
        free; they are PENDING until they begin.
        """
        for status in (PENDING, PAUSED):
            for trial in tune_controller.get_live_trials():
                if trial.status == status:
                    return trial
        return None

    def debug_string(self) -> str:
        """Returns one line about its state, for people."""
        return type(self).__name__

    def get_state(self) -> dict[str, Any]:
        """Returns what `set_state` needs to go on: picklable, refers to trials by their ids."""
        return dict(self.__dict__)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self.__dict__.update(state)

    def save(self, checkpoint_path: str) -> None:
        """Writes its state to a file."""
        Path(checkpoint_path).write_bytes(pickle.dumps(self.get_state()))

    def restore(self, checkpoint_path: str) -> None:
        """Reads what `save` wrote."""
        self.set_state(pickle.loads(Path(checkpoint_path).read_bytes()))


class FIFOScheduler(TrialScheduler):
    """Runs all trials to their end, in their order. The default."""

    supports_buffered_results = True
