"""Validates checkpoints beside the training: each in a task, whose metrics come into the run's list."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Any

import shoal
from shoal.train._internal.process.run_storage import CheckpointList
from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.reporting import ReportedCheckpointStatus, ValidationConfig, ValidationTaskConfig


class Validations:
    """Of one run. Used on its loop.

    Args:
        config: of the trainer; None where nothing is validated.
        checkpoints: the run's list.
        changed: is called when the list has changed.
    """

    def __init__(
        self, config: ValidationConfig | None, checkpoints: CheckpointList, changed: Callable[[], object]
    ) -> None:
        self._config = config
        self._checkpoints = checkpoints
        self._changed = changed
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, number: int, checkpoint: Checkpoint, how: bool | ValidationTaskConfig) -> None:
        """Validates a whole checkpoint, where `how` says so. Raises InvalidArgumentError where the trainer does not say with what."""
        if how is False:
            return
        if self._config is None:
            raise InvalidArgumentError(
                "a checkpoint is reported with validation, and the trainer has no validation_config; "
                "give it validation_config=ValidationConfig(fn)"
            )
        task_config = how if isinstance(how, ValidationTaskConfig) else self._config.task_config
        self._checkpoints.validated(number, ReportedCheckpointStatus.PENDING_VALIDATION)
        task = asyncio.get_running_loop().create_task(self._run(self._config, number, checkpoint, task_config))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Returns when all are over."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def cancel(self) -> None:
        """Gives up those that run."""
        for task in self._running:
            task.cancel()

    async def _run(
        self, config: ValidationConfig, number: int, checkpoint: Checkpoint, task_config: ValidationTaskConfig
    ) -> None:
        function = (
            shoal.remote(**config.ray_remote_kwargs)(config.fn) if config.ray_remote_kwargs else shoal.remote(config.fn)
        )
        ref = function.remote(checkpoint, **task_config.fn_kwargs)
        status, metrics = ReportedCheckpointStatus.VALIDATED, None
        try:
            async with asyncio.timeout(task_config.timeout_s):
                metrics = _checked(await ref)
        except TimeoutError:
            status = ReportedCheckpointStatus.VALIDATION_TIMEOUT
            shoal.cancel(ref, force=True)
        except asyncio.CancelledError:
            shoal.cancel(ref, force=True)
            raise
        except Exception as error:
            status = ReportedCheckpointStatus.VALIDATION_FAILED
            sys.stderr.write(f"shoal: the validation of {checkpoint.path} failed: {type(error).__name__}: {error}\n")
        self._checkpoints.validated(number, status, metrics)
        self._changed()


def _checked(metrics: object) -> dict[str, Any]:
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise InvalidArgumentError(f"the validation function returned {metrics!r}; return a dict of names to values")
    return dict(metrics)
