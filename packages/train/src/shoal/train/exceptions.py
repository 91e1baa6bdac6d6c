"""Errors of shoal.train."""

from __future__ import annotations

from collections.abc import Mapping

from shoal.exceptions import ShoalError


class TrainError(ShoalError):
    """Base of all errors of shoal.train."""


class InvalidArgumentError(TrainError, ValueError):
    """An argument has a value that it cannot have. The text names the argument, the value and the fix."""


class TrainingFailedError(TrainError):
    """Training ended with a failure that no restart was left for."""


class WorkerGroupError(TrainingFailedError):
    """Workers failed.

    Args:
        message: what happened, with the ranks.
        worker_failures: what each of them raised, by rank.
    """

    def __init__(self, message: str, worker_failures: Mapping[int, BaseException]) -> None:
        super().__init__(message)
        self.worker_failures = dict(worker_failures)


class ReportMismatchError(TrainingFailedError):
    """Ranks reported different numbers of times, and a checkpoint waits for the missing ones. The text names the ranks."""


class CheckpointError(TrainError, OSError):
    """A checkpoint could not be stored. Checkpoints from before are untouched; the text says why, and what can be done."""


class ControllerError(TrainingFailedError):
    """What drives the run failed, and not the workers: a backend or a DataConfig of the user's, or shoal itself. What callbacks and loggers
    raise is raised as it is.

    Args:
        message: what happened.
        controller_failure: what was raised.
    """

    def __init__(self, message: str, controller_failure: BaseException) -> None:
        super().__init__(message)
        self.controller_failure = controller_failure


class WorkerHungError(TrainError):
    """A rank has reported nothing for longer than it may, or does not answer. The text has its Python stack."""


class LoopExitError(TrainError):
    """A training loop called `sys.exit`, or was interrupted: it did not return."""


class UnsupportedTrainerError(TrainError, NotImplementedError):
    """Something of Ray's that is not offered. The text names what to use instead."""
