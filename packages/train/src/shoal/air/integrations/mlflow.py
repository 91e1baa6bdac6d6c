"""Results for MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from shoal.air.callback import LoggerCallback
from shoal.air.exceptions import LoggerSetupError
from shoal.air.integrations import library
from shoal.air.results import flattened, numbers
from shoal.air.whoami import whoami

LONGEST_VALUE = 6000
"""Characters of a parameter that MLflow's servers take."""


class MLflowLoggerCallback(LoggerCallback):
    """Makes an MLflow run of each trial: parameters, metrics, and its files where asked for. Needs mlflow.

    Args:
        tracking_uri: of the server or store; None for `MLFLOW_TRACKING_URI`, or MLflow's default.
        registry_uri: of the registry of models; None for the tracking store's.
        experiment_name: which is made where it is not there; None for `MLFLOW_EXPERIMENT_NAME`, or the search's name.
        tags: of each run.
        tracking_token: for `MLFLOW_TRACKING_TOKEN`.
        save_artifact: store the trial's folder when it ends.
        log_params_on_trial_end: store the parameters when a trial ends instead of when it starts.

    Raises:
        MissingLibraryError: (an ImportError) mlflow is not installed.

    Example:
        >>> from shoal.air.integrations.mlflow import MLflowLoggerCallback
        >>> from shoal.train import RunConfig
        >>> config = RunConfig(callbacks=[MLflowLoggerCallback("sqlite:////tmp/runs.db", experiment_name="digits")])
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        registry_uri: str | None = None,
        experiment_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        tracking_token: str | None = None,
        save_artifact: bool = False,
        log_params_on_trial_end: bool = False,
    ) -> None:
        library("mlflow", "mlflow")
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri
        self._experiment_name = experiment_name
        self._tags = dict(tags or {})
        self._token = tracking_token
        self._saves_artifact = save_artifact
        self._params_at_end = log_params_on_trial_end
        self._client: Any = None
        self._experiment_id = ""
        self._runs: dict[str, str] = {}

    def setup(
        self, stop: Any = None, num_samples: int | None = None, total_num_samples: int | None = None, **info: Any
    ) -> None:
        """Finds the experiment, or makes it."""
        client = library("mlflow.tracking", "mlflow").MlflowClient
        if self._token is not None:
            os.environ["MLFLOW_TRACKING_TOKEN"] = self._token
        self._client = client(tracking_uri=self._tracking_uri, registry_uri=self._registry_uri)
        name = self._experiment_name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or info.get("name") or "Default"
        experiment = self._client.get_experiment_by_name(name)
        self._experiment_id = (
            experiment.experiment_id if experiment is not None else self._client.create_experiment(name)
        )

    def log_trial_start(self, trial: Any) -> None:
        """Makes its run, unless it goes on."""
        if trial.trial_id in self._runs:
            return
        if self._client is None:
            self.setup(name=trial.experiment_name)
        tags = {**self._tags, "trial_name": trial.trial_name}
        run = self._client.create_run(experiment_id=self._experiment_id, tags=tags, run_name=trial.trial_name)
        self._runs[trial.trial_id] = run.info.run_id
        if not self._params_at_end:
            self._log_params(trial)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Stores the numbers, all at once. The step is `timesteps_total`, where there is one, else `training_iteration`."""
        metric = library("mlflow.entities", "mlflow").Metric
        now = int(time.time() * 1000)
        step = int(result.get("timesteps_total") or result.get("training_iteration", iteration))
        found = [metric(name, value, now, step) for name, value in numbers(result).items()]
        for first in range(0, len(found), 1000):
            self._client.log_batch(self._runs[trial.trial_id], metrics=found[first : first + 1000])

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Ends its run."""
        run = self._runs.pop(trial.trial_id, None)
        if run is None:
            return
        if self._params_at_end:
            self._runs[trial.trial_id] = run
            self._log_params(trial)
            del self._runs[trial.trial_id]
        if self._saves_artifact:
            self._client.log_artifacts(run, local_dir=trial.local_path)
        self._client.set_terminated(run_id=run, status="FAILED" if failed else "FINISHED")

    def _log_params(self, trial: Any) -> None:
        param = library("mlflow.entities", "mlflow").Param
        found = [param(name, str(value)[:LONGEST_VALUE]) for name, value in flattened(trial.config).items()]
        for first in range(0, len(found), 100):
            self._client.log_batch(self._runs[trial.trial_id], params=found[first : first + 100])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}


def setup_mlflow(
    config: Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment_id: str | None = None,
    experiment_name: str | None = None,
    tracking_token: str | None = None,
    artifact_location: str | None = None,
    run_name: str | None = None,
    create_experiment_if_not_exists: bool = False,
    tags: Mapping[str, Any] | None = None,
    rank_zero_only: bool = True,
) -> Any:
    """Begins an MLflow run inside of a training loop or a trial, and returns `mlflow` to write to it.

    Args:
        config: parameters to store.
        tracking_uri: of the server or store; None for `MLFLOW_TRACKING_URI`, or MLflow's default.
        registry_uri: of the registry of models.
        experiment_id: which experiment.
        experiment_name: which, where there is no id; None for the run's name.
        tracking_token: for `MLFLOW_TRACKING_TOKEN`.
        artifact_location: of an experiment that is made.
        run_name: None for the trial's name.
        create_experiment_if_not_exists: make it where it is not there.
        tags: of the run.
        rank_zero_only: in other ranks than 0, return something on which every call does nothing.

    Raises:
        MissingLibraryError: (an ImportError) mlflow is not installed.
        LoggerSetupError: (a ValueError) the experiment is not there.
    """
    who = whoami()
    if rank_zero_only and who.rank not in (None, 0):
        return SilentModule()
    mlflow = library("mlflow", "mlflow")
    if tracking_token is not None:
        os.environ["MLFLOW_TRACKING_TOKEN"] = tracking_token
    if tracking_uri is not None:
        mlflow.set_tracking_uri(tracking_uri)
    if registry_uri is not None:
        mlflow.set_registry_uri(registry_uri)
    found = _experiment(
        mlflow, experiment_id, experiment_name or who.experiment, artifact_location, create_experiment_if_not_exists
    )
    # For runs inside of this one, too.
    mlflow.set_experiment(experiment_id=found)
    mlflow.start_run(run_name=run_name or who.trial, experiment_id=found, tags=dict(tags) if tags else None)
    if config:
        mlflow.log_params({name: str(value)[:LONGEST_VALUE] for name, value in flattened(config).items()})
    return mlflow


def _experiment(
    mlflow: Any, experiment_id: str | None, name: str | None, artifact_location: str | None, makes: bool
) -> str:
    experiment_id = experiment_id or os.environ.get("MLFLOW_EXPERIMENT_ID")
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if experiment_id is not None:
        return experiment_id
    experiment = mlflow.get_experiment_by_name(name) if name is not None else None
    if experiment is not None:
        found: str = experiment.experiment_id
        return found
    if name is None or not makes:
        raise LoggerSetupError(
            f"there is no experiment {name!r} in MLflow; give experiment_name= of one that is there, "
            f"or create_experiment_if_not_exists=True"
        )
    made: str = mlflow.create_experiment(name, artifact_location=artifact_location)
    return made


class SilentModule:
    """Every attribute is a function that does nothing, and returns this."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        return
