"""Results as lines of JSON, and parameters as a file of JSON and a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from shoal import cloudpickle
from shoal.air.callback import LoggerCallback
from shoal.tune.logger.encoding import json_line, parsed_line, plain
from shoal.tune.logger.log_file import FlushSchedule, LogFile, kept_lines, replace_file

RESULTS, PARAMETERS, PICKLED_PARAMETERS = "result.json", "params.json", "params.pkl"


class JsonLoggerCallback(LoggerCallback):
    """Writes `result.json` (one line of JSON for each result), `params.json` and `params.pkl` into each trial's folder.

    It is added to every search by itself, unless the environment has TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1. Lines are gathered for a moment;
    a trial's are written when it ends, and all of them before the search's state is saved.

    Example:
        >>> from shoal import tune
        >>> run_config = tune.RunConfig(callbacks=[tune.logger.JsonLoggerCallback()])
    """

    def __init__(self) -> None:
        self._files: dict[str, _TrialFile] = {}
        self._schedule = FlushSchedule()

    def log_trial_start(self, trial: Any) -> None:
        write_parameters(trial.local_path, trial.config)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        file = self._files.get(trial.trial_id)
        following = result.get("training_iteration")
        if file is None:
            file = self._files[trial.trial_id] = _TrialFile(os.path.join(trial.local_path, RESULTS))
            _cut(file.path, following)
        elif (failures := getattr(trial, "num_failures", 0)) != file.failures:
            file.failures = failures
            self._schedule.flush(file)
            _cut(file.path, following)
        file.add(json_line(result))
        self._schedule.added(file)

    def log_trial_save(self, trial: Any) -> None:
        # The trial may go on from this checkpoint after a crash: what it reported before has to be there then.
        file = self._files.get(trial.trial_id)
        if file is not None:
            self._schedule.flush(file)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        file = self._files.pop(trial.trial_id, None)
        if file is not None:
            self._schedule.flush(file)

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        self._schedule.turn_ended()

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        self._schedule.flush_all()
        self._files.clear()

    def get_state(self) -> dict[str, Any] | None:
        # The search's state is about to be saved. It must not know of results that are not written.
        self._schedule.flush_all()
        return None


class _TrialFile(LogFile):
    failures = 0


def write_parameters(folder: str, config: dict[str, Any]) -> None:
    """Writes a configuration into a trial's folder. What JSON does not know is a text there; the pickle has it as it is, if it can be."""
    text = json.dumps(plain(config), indent=2, sort_keys=True)
    try:
        pickled = cloudpickle.dumps(config)
    except Exception:  # locks, connections, … say so in many ways
        pickled = cloudpickle.dumps(plain(config))
    replace_file(os.path.join(folder, PARAMETERS), [text.encode()])
    replace_file(os.path.join(folder, PICKLED_PARAMETERS), [pickled])


def _cut(path: str, following: Any) -> None:
    """Takes away what a restored search does not know."""
    if not isinstance(following, int) or not os.path.exists(path):
        return
    with open(path, "rb") as file:
        lines = file.readlines()
    kept = kept_lines([_iteration(line) for line in lines], following)
    if kept < len(lines):
        replace_file(path, lines[:kept])


def _iteration(line: bytes) -> int | None:
    try:
        found = parsed_line(line).get("training_iteration") if line.endswith(b"\n") else None
    except ValueError:
        return None
    return found if isinstance(found, int) else None
