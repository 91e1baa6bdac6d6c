"""Runs the same loop in several workers."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import inspect
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import shoal
from shoal import engines
from shoal.train._internal.process.in_driver import run_in_driver
from shoal.train._internal.process.observers import observers_of
from shoal.train._internal.process.plan import Plan
from shoal.train._internal.process.run_datasets import RunDatasets
from shoal.train._internal.process.run_storage import CheckpointList, RunStorage
from shoal.train._internal.process.training_run import TrainingRun
from shoal.train.backend import BackendConfig
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from shoal.train.data_config import DataConfig
from shoal.train.exceptions import InvalidArgumentError, UnsupportedTrainerError
from shoal.train.forwarding import Forwarding, current
from shoal.train.reporting import ValidationConfig
from shoal.train.result import Result

_TRIAL_KEYS = ("train_loop_config", "scaling_config")
"""What a configuration of `as_trainable()` may have."""


class DataParallelTrainer:
    """Runs a function in each of several workers, which `shoal.train.report` to it.

    Args:
        train_loop_per_worker: takes nothing, or the configuration.
        train_loop_config: what it gets; a dict.
        backend_config: what is set up in the workers before.
        scaling_config: how many workers; None for one.
        run_config: name, storage, restarts, checkpoints.
        datasets: by name; `shoal.train.get_dataset_shard` gives each worker its part.
        dataset_config: which of them are divided; None for all.
        validation_config: how checkpoints that are reported with `validation=` are validated.
        metadata: accepted for Ray's sake.
        resume_from_checkpoint: what `shoal.train.get_checkpoint` gives at first; a run of the same name goes on from its own instead.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import train
        >>> from shoal.train.data_parallel_trainer import DataParallelTrainer
        >>> def loop(config):
        ...     train.report({"loss": config["loss"]})
        >>> scaling = train.ScalingConfig(num_workers=0)
        >>> DataParallelTrainer(loop, train_loop_config={"loss": 0.5}, scaling_config=scaling).fit().metrics
        {'loss': 0.5}
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: Mapping[str, Any] | None = None,
        backend_config: BackendConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: Mapping[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        validation_config: ValidationConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        _bound(train_loop_per_worker, train_loop_config)
        self._loop: Callable[..., Any] = train_loop_per_worker
        self._loop_config = dict(train_loop_config) if train_loop_config is not None else None
        self._backend = of_type("backend_config", backend_config, BackendConfig) or BackendConfig()
        self._scaling = of_type("scaling_config", scaling_config, ScalingConfig) or ScalingConfig()
        self._run = of_type("run_config", run_config, RunConfig) or RunConfig()
        self._data_config = of_type("dataset_config", dataset_config, DataConfig) or DataConfig()
        self._validation = of_type("validation_config", validation_config, ValidationConfig)
        self._start_from = of_type("resume_from_checkpoint", resume_from_checkpoint, Checkpoint)
        self._metadata = dict(metadata or {})
        self._datasets = dict(datasets or {})
        RunDatasets(self._datasets, self._data_config)

    def fit(self) -> Result:
        """Trains, and returns what it came to. A run of the same name and storage goes on from its last checkpoint.

        May be called in any thread, in an actor, and in a trial of a search.

        Raises:
            TrainingFailedError: workers failed more often than `FailureConfig.max_failures`, cannot be placed, or reported different
                numbers of times. `WorkerGroupError.worker_failures` has what each rank raised.
        """
        return self._fit(None)

    @property
    def scaling_config(self) -> ScalingConfig:
        """How many workers there are: a search counts them as what a trial needs."""
        return self._scaling

    def as_trainable(self) -> Callable[[Mapping[str, Any]], dict[str, Any] | None]:
        """Returns a function for a search: it trains with other settings, and hands its reports on.

        Its argument is a dict: 'train_loop_config' is put over the trainer's, and 'scaling_config' (a ScalingConfig, or a dict of
        its arguments) replaces that. Reports go to whoever opened `shoal.train.forwarding.forward_to`; without it the function
        returns the last metrics. Each call is a run of its own, whatever the trainer's is called.

        Raises:
            InvalidArgumentError: (a ValueError) by the function: the dict has other keys.
        """
        return partial(_run_trial, self)

    @classmethod
    def restore(cls, path: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises UnsupportedTrainerError: a trainer with the run's name goes on with it.

        Args:
            path: of the run's folder.
        """
        folder, _, name = str(path).rstrip("/").rpartition("/")
        raise UnsupportedTrainerError(
            f"{cls.__name__}.restore is not offered: make the trainer as before, with "
            f"RunConfig(name={name!r}, storage_path={folder!r}), and call fit(): it goes on from the last checkpoint"
        )

    @classmethod
    def can_restore(cls, path: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises UnsupportedTrainerError, as `restore`.

        Args:
            path: of the run's folder.
        """
        cls.restore(path)

    def _fit(self, forwarding: Forwarding | None) -> Result:
        name = self._run.name or f"train_run-{dt.datetime.now(dt.UTC):%Y-%m-%d_%H-%M-%S_%f}"
        storage = RunStorage.of(self._run.storage_path, self._run.storage_filesystem, name)
        storage.make()
        storage.staging.clear()  # what a program that was killed has left
        checkpoints = CheckpointList(storage, self._run.checkpoint_config or CheckpointConfig())
        plan = Plan(
            loop=_bound(self._loop, self._loop_config),
            scaling=self._scaling,
            failure=self._run.failure_config or FailureConfig(),
            backend=self._backend,
            experiment=name,
            storage=storage,
            datasets=RunDatasets(self._datasets, self._data_config),
            start_from=(forwarding.start_from if forwarding is not None else None) or self._start_from,
            runtime_env=self._run.worker_runtime_env,
            validation=self._validation,
        )
        forward = forwarding.reporter if forwarding is not None else None
        observers = observers_of(self._run, self._scaling, self._loop_config, name, storage)
        history: list[dict[str, Any]] = []
        value: Any = None
        error: BaseException | None = None
        run: TrainingRun | None = None
        try:
            if self._scaling.num_workers == 0:
                history, value = run_in_driver(plan, checkpoints, observers, forward)
            else:
                if not shoal.is_initialized():
                    shoal.init()
                _check_engine()
                run = TrainingRun(plan, checkpoints, observers, forward)
                run.run()
                value, error = run.controller.return_value, run.error
        except BaseException as failure:
            error = failure
        if run is not None:
            history = run.controller.history
        result = Result(
            metrics=history[-1] if history else None,
            checkpoint=checkpoints.latest,
            error=error,
            path=storage.path,
            filesystem=storage.filesystem,
            best_checkpoints=checkpoints.all(),
            return_value=value,
            history=history,
            config=self._loop_config,
        )
        for observer in observers:
            observer.ended(result)
        if error is not None:
            raise error
        return result


def _run_trial(trainer: DataParallelTrainer, config: Mapping[str, Any]) -> dict[str, Any] | None:
    wrong = [key for key in config if key not in _TRIAL_KEYS]
    if wrong:
        raise InvalidArgumentError(
            f"the configuration of a trainer has {', '.join(map(repr, wrong))}; it may have {' and '.join(map(repr, _TRIAL_KEYS))}: "
            f"put what the training loop gets into 'train_loop_config'"
        )
    forwarding = current()
    trial = copy.copy(trainer)
    if "train_loop_config" in config:
        trial._loop_config = {**(trainer._loop_config or {}), **config["train_loop_config"]}
        _bound(trial._loop, trial._loop_config)
    scaling = config.get("scaling_config")
    if scaling is not None:
        trial._scaling = scaling if isinstance(scaling, ScalingConfig) else ScalingConfig(**scaling)
    # By its own name, since a run of the same name would go on with the checkpoints of another trial.
    changes: dict[str, Any] = {"name": f"{trainer._run.name or 'train'}-{uuid.uuid4().hex[:8]}"}
    if forwarding is not None and forwarding.storage_path is not None:
        changes |= {"storage_path": forwarding.storage_path, "storage_filesystem": None}
    trial._run = dataclasses.replace(trainer._run, **changes)
    result = trial._fit(forwarding)
    return result.metrics if forwarding is None else None


def _check_engine() -> None:
    """Raises InvalidArgumentError: this session has no processes for workers."""
    engine = engines.current()
    if "process_isolation" not in engine.capabilities:
        raise InvalidArgumentError(
            "this session has no worker processes (local_mode); run the loop in this one: ScalingConfig(num_workers=0)"
        )
    if "own_processes" not in engine.capabilities:
        raise InvalidArgumentError(
            f"workers of a trainer need processes of their own, and actors of the {engine.name} engine share them; run the loop in "
            "this one (ScalingConfig(num_workers=0)), or on another engine"
        )


def of_type(argument: str, value: Any, wanted: type) -> Any:
    """Returns the value of an argument. Raises InvalidArgumentError where it is neither None nor of the type."""
    if value is not None and not isinstance(value, wanted):
        raise InvalidArgumentError(f"{argument} is {value!r}; give a {wanted.__name__}")
    return value


def _bound(loop: Any, config: Mapping[str, Any] | None) -> Callable[[], Any]:
    if not callable(loop):
        raise InvalidArgumentError(f"train_loop_per_worker is {loop!r}; give a function")
    try:
        takes = len(
            [
                p
                for p in inspect.signature(loop).parameters.values()
                if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            ]
        )
    except (TypeError, ValueError):
        takes = 0 if config is None else 1
    if takes > 1:
        raise InvalidArgumentError(
            f"train_loop_per_worker takes {takes} arguments; it may take none, or one: the train_loop_config"
        )
    if config is not None and not isinstance(config, Mapping):
        raise InvalidArgumentError(f"train_loop_config is {config!r}; give a dict")
    if takes == 0 and config is not None and not inspect.signature(loop).parameters:
        raise InvalidArgumentError("train_loop_per_worker takes no argument, and there is a train_loop_config for it")
    return partial(loop, dict(config or {})) if takes == 1 or config is not None else loop
