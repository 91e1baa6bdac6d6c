"""Results for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from shoal.air.callback import LoggerCallback
from shoal.air.integrations import library
from shoal.air.integrations.event_file import EventFile
from shoal.air.results import NOT_METRICS, as_number, flattened

PREFIX = "ray/tune/"
"""Of all names, as in Ray: so old and new runs are in one plot."""


class TBXLoggerCallback(LoggerCallback):
    """Writes each trial's numbers as curves, and lists of numbers as histograms, into event files in its folder. Needs tensorboard.

    `tensorboard --logdir <folder of the run>` shows them; the hyperparameters come when a trial ends.

    Raises:
        MissingLibraryError: (an ImportError) tensorboard is not installed.

    Example:
        >>> from shoal.air.integrations.tensorboard import TBXLoggerCallback
        >>> from shoal.train import RunConfig
        >>> config = RunConfig(callbacks=[TBXLoggerCallback()])
    """

    def __init__(self) -> None:
        library("tensorboard", "tensorboard")
        self._files: dict[str, EventFile] = {}
        self._tags: dict[str, dict[str, None]] = {}
        """Names of numbers, in order."""

    def log_trial_start(self, trial: Any) -> None:
        """Opens its file. A trial that starts in another process adds another one, which TensorBoard reads on."""
        if trial.trial_id not in self._files:
            self._files[trial.trial_id] = EventFile(trial.local_path)
            self._tags[trial.trial_id] = {}

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Writes the numbers. The step is `timesteps_total`, where there is one, else `training_iteration`."""
        if trial.trial_id not in self._files:
            self.log_trial_start(trial)
        numbers: dict[str, float] = {}
        distributions: dict[str, Any] = {}
        for name, value in flattened(result, NOT_METRICS).items():
            number = as_number(value)
            if number is not None:
                numbers[PREFIX + name] = number
            elif _is_distribution(value):
                distributions[PREFIX + name] = value
        self._tags[trial.trial_id].update(dict.fromkeys(numbers))
        step = result.get("timesteps_total") or result.get("training_iteration", iteration)
        self._files[trial.trial_id].add(numbers, distributions, int(step))

    def log_trial_save(self, trial: Any) -> None:
        """What was written is on the disk when the checkpoint is."""
        if trial.trial_id in self._files:
            self._files[trial.trial_id].flush()

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Writes the hyperparameters, and closes the file."""
        file = self._files.pop(trial.trial_id, None)
        if file is None:
            return
        tags = self._tags.pop(trial.trial_id)
        if trial.config and tags:
            _add_hyperparameters(file, trial.trial_id, trial.config, list(tags))
        file.close()

    def on_experiment_end(self, trials: Any, **info: Any) -> None:
        """Closes files of trials that did not end."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": {}, "_tags": {}}


def _add_hyperparameters(file: EventFile, trial_id: str, config: Mapping[str, Any], tags: list[str]) -> None:
    """Writes what TensorBoard makes its table of hyperparameters of."""
    plugin = library("tensorboard.plugins.hparams.summary_v2", "tensorboard")
    values = {name: _plain(value) for name, value in flattened(config).items()}
    metrics = [plugin.Metric(tag) for tag in tags]
    file.add_summary(plugin.hparams_config_pb(hparams=[plugin.HParam(name) for name in values], metrics=metrics))
    file.add_summary(plugin.hparams_pb(values, trial_id=trial_id, start_time_secs=time.time()))


def _is_distribution(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(as_number(one) is not None for one in value)
    return getattr(value, "ndim", 0) > 0 and getattr(getattr(value, "dtype", None), "kind", "O") in "iuf"


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    number = as_number(value)
    return number if number is not None else str(value)
