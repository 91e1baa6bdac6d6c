"""Tells loggers of a training run as of a search of one trial, so that one logger serves both."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyarrow import fs

from shoal.air.callback import Callback
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train.checkpoint import Checkpoint
from shoal.train.result import Result


class RunAsTrial:
    """What loggers see of the run.

    Args:
        name: of the run.
        config: of its loop.
        local_path: a folder of this machine, for what loggers write.
    """

    def __init__(self, name: str, config: Mapping[str, Any], local_path: str) -> None:
        self.trial_id = name
        self.trial_name = name
        self.experiment_name = name
        self.experiment_tag = ""
        self.config = dict(config)
        self.evaluated_params: dict[str, Any] = {}
        self.local_path = local_path
        self.path = local_path
        self.logdir = local_path
        self.status = "PENDING"
        self.last_result: dict[str, Any] = {}
        self.checkpoint: Checkpoint | None = None

    def __str__(self) -> str:
        return self.trial_name


class LoggerObserver:
    """A RunObserver for loggers.

    Args:
        loggers: of the user.
        name: of the run.
        config: of its loop.
        storage: the run's folder. Where it is not local, what loggers write is copied there at the end.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        loggers: Sequence[Callback],
        name: str,
        config: Mapping[str, Any],
        storage: RunStorage,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._loggers = list(loggers)
        self._storage = storage
        self._clock = clock
        self._local = storage.path if storage.is_local else tempfile.mkdtemp(prefix="shoal-loggers-")
        self._trial = RunAsTrial(name, config, self._local)
        self._iteration = 0
        self._begun = self._last = clock()
        for logger in self._loggers:
            # Before the run begins, since it may take long: a store is made, a server is asked.
            logger.setup(None, 1, 1, name=name, path=storage.path)

    def started(self, attempt: int, world_size: int) -> None:
        if self._trial.status != "PENDING" and self._trial.checkpoint is not None:
            self._tell("on_trial_restore")
        self._trial.status = "RUNNING"
        self._tell("on_trial_start")

    def reported(self, rank: int, metrics: dict[str, Any], has_checkpoint: bool) -> None:
        if rank != 0:
            return
        self._iteration += 1
        now = self._clock()
        result = {
            **metrics,
            "training_iteration": self._iteration,
            "time_this_iter_s": now - self._last,
            "time_total_s": now - self._begun,
            "timestamp": int(now),
            "trial_id": self._trial.trial_id,
            "done": False,
        }
        self._last = now
        self._trial.last_result = result
        self._tell("on_trial_result", result=result)

    def committed(self, number: int, checkpoint: Checkpoint, metrics_by_rank: list[dict[str, Any]]) -> None:
        self._trial.checkpoint = checkpoint
        self._tell("on_trial_save")
        self._tell("on_checkpoint", checkpoint=checkpoint)

    def failed(self, attempt: int, failures: dict[int, BaseException], restarting: bool) -> None:
        if restarting:
            self._tell("on_trial_recover")

    def ended(self, result: Result) -> None:
        if self._trial.status != "PENDING":
            self._tell("on_trial_error" if result.error is not None else "on_trial_complete")
        self._trial.status = "ERROR" if result.error is not None else "TERMINATED"
        for logger in self._loggers:
            logger.on_experiment_end([self._trial])
        self._clean()

    def _tell(self, event: str, **info: Any) -> None:
        for logger in self._loggers:
            getattr(logger, event)(self._iteration, [self._trial], self._trial, **info)

    def _clean(self) -> None:
        if self._storage.is_local:
            return
        fs.copy_files(
            self._local,
            self._storage.path,
            source_filesystem=fs.LocalFileSystem(),
            destination_filesystem=self._storage.filesystem,
        )
        shutil.rmtree(self._local)
