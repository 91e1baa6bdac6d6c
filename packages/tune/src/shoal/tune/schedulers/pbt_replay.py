"""Replays what population based training did to one trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoal.tune._internal.logic.reported_number import number
from shoal.tune.exceptions import InvalidArgumentError, TuneError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.explore import tag_of
from shoal.tune.schedulers.policy_log import Exploitation, decoded
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController


class PopulationBasedTrainingReplay(TrialScheduler):
    """Runs one trial through the configurations that a trial of population based training, and those that it copied, went through.

    The trial changes its configuration at the same iterations, and goes on from its own checkpoint; so it has to make one at these.

    Args:
        policy_file: a pbt_policy_<trial id>.txt in the folder of the search that is replayed.

    Raises:
        InvalidArgumentError: there is no such file, or it is none that PopulationBasedTraining wrote.
    """

    def __init__(self, policy_file: str | os.PathLike[str]) -> None:
        super().__init__()
        self._policy_file = Path(policy_file).expanduser()
        try:
            lines = self._policy_file.read_text().splitlines()
        except OSError as error:
            raise InvalidArgumentError(f"policy_file is {policy_file!r}; it cannot be read: {error}") from error
        exploitations = [decoded(line, str(policy_file)) for line in lines if line.strip()]
        if not exploitations:
            raise InvalidArgumentError(f"policy_file is {policy_file!r}; it is empty, so there is nothing to replay")
        self._config, self._changes = schedule_of(exploitations)
        self._trial_id: str | None = None
        self._num_changes = 0

    @property
    def config(self) -> dict[str, Any]:
        """What the trial begins with."""
        return dict(self._config)

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True  # nothing is compared

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        if self._trial_id not in (None, trial.trial_id):
            raise TuneError(
                "PopulationBasedTrainingReplay replays one trial, and the search has made a second; use num_samples=1 and no grid_search"
            )
        if self._trial_id is None:
            self._trial_id = trial.trial_id
            trial.config = dict(self._config)
            trial.evaluated_params = dict(self._config)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        iteration = number(result, "training_iteration", "which the schedule goes by", trial)
        due = None
        while self._num_changes < len(self._changes) and iteration >= self._changes[self._num_changes][0]:
            due = self._changes[self._num_changes][1]
            self._num_changes += 1
        if due is None:
            return TrialScheduler.CONTINUE
        tune_controller.save_trial(trial)
        tune_controller.exploit(trial, trial, dict(due), tag_of(trial.config, due))
        return TrialScheduler.NOOP

    def debug_string(self) -> str:
        return f"{type(self).__name__}: {self._num_changes} of {len(self._changes)} changes made"

    def get_state(self) -> dict[str, Any]:
        return {"_trial_id": self._trial_id, "_num_changes": self._num_changes}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._trial_id, self._num_changes = state["_trial_id"], state["_num_changes"]


def schedule_of(exploitations: list[Exploitation]) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    """Returns the first configuration of a trial's past, and the later ones with the iterations at which they began.

    What a trial did before it became a copy of another is no part of its past: the chain is followed back from the last exploitation.
    """
    chain = [exploitations[-1]]
    for exploitation in reversed(exploitations[:-1]):
        if exploitation.tag != chain[-1].donor_tag:
            break
        chain.append(exploitation)
    chain.reverse()
    return dict(chain[0].donor_config), [(one.donor_iteration, dict(one.new_config)) for one in chain]
