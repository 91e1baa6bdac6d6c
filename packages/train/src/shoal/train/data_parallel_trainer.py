"""Runs the same loop in several workers."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import shoal
from shoal.train._internal.process.in_driver import run_in_driver
from shoal.train._internal.process.run_storage import CheckpointList, RunStorage
from shoal.train._internal.process.training_run import Plan, TrainingRun
from shoal.train.backend import BackendConfig
from shoal.train.configuration import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.result import Result


class DataParallelTrainer:
    """Runs a function in each of several workers, which `shoal.train.report` to it.

    Args:
        train_loop_per_worker: takes nothing, or the configuration.
        train_loop_config: what it gets; a dict.
        backend_config: what is set up in the workers before.
        scaling_config: how many workers; None for one.
        run_config: name, storage, restarts, checkpoints.
        datasets: by name; each is divided among the workers.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
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
    ) -> None:
        self._loop = _bound(train_loop_per_worker, train_loop_config)
        self._backend = backend_config or BackendConfig()
        self._scaling = scaling_config or ScalingConfig()
        self._run = run_config or RunConfig()
        self._datasets = dict(datasets or {})

    def fit(self) -> Result:
        """Trains, and returns what it came to.

        Raises:
            TrainingFailedError: workers failed more often than `FailureConfig.max_failures`, cannot be placed, or reported different
                numbers of times.
        """
        name = self._run.name or f"train_run-{dt.datetime.now(dt.UTC):%Y-%m-%d_%H-%M-%S_%f}"
        storage = RunStorage.of(self._run.storage_path, self._run.storage_filesystem, name)
        storage.make()
        checkpoints = CheckpointList(storage, self._run.checkpoint_config or CheckpointConfig())
        plan = Plan(
            self._loop,
            self._scaling,
            self._run.failure_config or FailureConfig(),
            self._backend.make,
            name,
            storage,
            self._shards,
        )
        if self._scaling.num_workers == 0:
            history, value = run_in_driver(plan, checkpoints)
        else:
            if not shoal.is_initialized():
                shoal.init()
            run = TrainingRun(plan, checkpoints)
            run.run()
            if run.error is not None:
                raise run.error
            history, value = run.controller.history, run.controller.return_value
        return Result(
            metrics=history[-1] if history else None,
            checkpoint=checkpoints.latest,
            error=None,
            path=storage.path,
            filesystem=storage.filesystem,
            best_checkpoints=checkpoints.all(),
            return_value=value,
            history=history,
        )

    def _shards(self, workers: int) -> Sequence[Mapping[str, Any]]:
        """Returns each rank's part of each dataset, by rank."""
        split = {name: dataset.streaming_split(workers, equal=True) for name, dataset in self._datasets.items()}
        return [{name: parts[rank] for name, parts in split.items()} for rank in range(workers)]


def _bound(loop: Any, config: Mapping[str, Any] | None) -> Callable[[], Any]:
    if not callable(loop):
        raise InvalidArgumentError(f"train_loop_per_worker is {loop!r}; give a function")
    try:
        takes = len(
            [
                p
                for p in inspect.signature(loop).parameters.values()
                if p.default is p.empty and p.kind is not p.VAR_KEYWORD
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
