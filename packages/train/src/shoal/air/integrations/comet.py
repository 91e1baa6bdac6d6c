"""Results for Comet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.air.callback import LoggerCallback
from shoal.air.integrations import library
from shoal.air.results import as_number, flattened, numbers

_OTHERS = ("trial_id", "experiment_id", "experiment_tag", "hostname", "node_ip", "pid", "date")
"""What is no metric of a result, and is stored beside."""


class CometLoggerCallback(LoggerCallback):
    """Makes an experiment of Comet of each trial. Needs comet_ml.

    Args:
        online: send to Comet's server; False for archives in the trial's folder, which `comet upload` sends.
        tags: of each experiment.
        save_checkpoints: store each checkpoint as an artifact.
        kwargs: of comet's `Experiment`, such as `project_name`.

    Raises:
        MissingLibraryError: (an ImportError) comet_ml is not installed.

    Example:
        >>> from shoal.air.integrations.comet import CometLoggerCallback
        >>> def callbacks():
        ...     return [CometLoggerCallback(online=False, project_name="digits")]
    """

    def __init__(
        self, online: bool = True, tags: Sequence[str] | None = None, save_checkpoints: bool = False, **kwargs: Any
    ) -> None:
        self._comet = library("comet_ml", "comet")
        self._online = online
        self._tags = list(tags or ())
        self._saves_checkpoints = save_checkpoints
        self._options = kwargs
        self._experiments: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        """Makes its experiment, unless it goes on."""
        if trial.trial_id in self._experiments:
            return
        if self._online:
            experiment = self._comet.Experiment(**self._options)
        else:
            experiment = self._comet.OfflineExperiment(**({"offline_directory": trial.local_path} | self._options))
        experiment.set_name(trial.trial_name)
        experiment.add_tags(self._tags)
        experiment.log_other("Created from", "Shoal")
        experiment.log_parameters(flattened(trial.config))
        self._experiments[trial.trial_id] = experiment

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Stores the numbers."""
        if trial.trial_id not in self._experiments:
            self.log_trial_start(trial)
        experiment = self._experiments[trial.trial_id]
        step = as_number(result.get("training_iteration")) or iteration
        experiment.log_metrics(numbers(result), step=int(step))
        experiment.log_others({name: result[name] for name in _OTHERS if name in result})

    def log_trial_save(self, trial: Any) -> None:
        """Stores the checkpoint, where asked for."""
        if not self._saves_checkpoints or trial.checkpoint is None or trial.trial_id not in self._experiments:
            return
        artifact = self._comet.Artifact(name=f"checkpoint_{trial.trial_name}", artifact_type="model")
        with trial.checkpoint.as_directory() as folder:
            artifact.add(folder)
            self._experiments[trial.trial_id].log_artifact(artifact)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Ends its experiment."""
        experiment = self._experiments.pop(trial.trial_id, None)
        if experiment is not None:
            experiment.log_other("failed", failed)
            experiment.end()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_experiments": {}, "_comet": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _comet=library("comet_ml", "comet"))
