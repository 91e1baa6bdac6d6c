"""Ray's name for the module of errors."""

from shoal.train.exceptions import ControllerError, TrainingFailedError, WorkerGroupError

SessionMisuseError = RuntimeError
"""What the functions of a training loop raise outside of one."""

__all__ = ["ControllerError", "SessionMisuseError", "TrainingFailedError", "WorkerGroupError"]
