"""How a report's checkpoint is stored, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError


class CheckpointUploadMode(Enum):
    """When a checkpoint's files are in the run's folder."""

    ASYNC = "ASYNC"
    """Some time after `report` has returned: a thread stores them. The local folder is the thread's from then on, and goes."""
    SYNC = "SYNC"
    """When `report` returns."""
    NO_UPLOAD = "NO_UPLOAD"
    """The checkpoint is where it shall stay: nothing is copied."""


class CheckpointConsistencyMode(Enum):
    """What `get_all_reported_checkpoints` waits for."""

    COMMITTED = "COMMITTED"
    """All checkpoints that this rank has reported are whole."""
    VALIDATED = "VALIDATED"
    """Their validations are over, too."""


class ReportedCheckpointStatus(Enum):
    """What became of a reported checkpoint."""

    COMMITTED = "COMMITTED"
    PENDING_VALIDATION = "PENDING_VALIDATION"
    VALIDATED = "VALIDATED"
    VALIDATION_TIMEOUT = "VALIDATION_TIMEOUT"
    VALIDATION_FAILED = "VALIDATION_FAILED"


@dataclass(frozen=True)
class ReportedCheckpoint:
    """A whole checkpoint of the run, the metrics that came with it (and its validation's), and what became of it."""

    checkpoint: Checkpoint
    metrics: dict[str, Any]
    status: ReportedCheckpointStatus = ReportedCheckpointStatus.COMMITTED


ValidationFn = Callable[..., Mapping[str, Any]]
"""Gets the checkpoint, and the keyword arguments of the task's configuration; returns metrics."""


@dataclass(frozen=True)
class ValidationTaskConfig:
    """One validation.

    Args:
        fn_kwargs: keyword arguments of the validation function.
        timeout_s: seconds after which the validation is given up; None for never.
    """

    fn_kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if self.fn_kwargs is None:
            object.__setattr__(self, "fn_kwargs", {})
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise InvalidArgumentError(f"timeout_s is {self.timeout_s!r}; give seconds > 0, or None")


@dataclass(frozen=True)
class ValidationConfig:
    """How checkpoints that are reported with `validation=True` are validated: beside the training, in a task.

    Args:
        fn: gets the checkpoint and returns metrics, which are added to the checkpoint's.
        task_config: of each validation that gives no other in its report.
        ray_remote_kwargs: options of the task, such as `num_gpus`.

    Raises:
        InvalidArgumentError: (a ValueError) `fn` is no function.

    Example:
        >>> from shoal.train import ValidationConfig
        >>> config = ValidationConfig(lambda checkpoint: {"accuracy": 0.9})
        >>> config.task_config.timeout_s is None
        True
    """

    fn: ValidationFn
    task_config: ValidationTaskConfig = field(default_factory=ValidationTaskConfig)
    ray_remote_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise InvalidArgumentError(f"fn is {self.fn!r}; give a function of a checkpoint")
        if self.task_config is None:
            object.__setattr__(self, "task_config", ValidationTaskConfig())
        if self.ray_remote_kwargs is None:
            object.__setattr__(self, "ray_remote_kwargs", {})


@dataclass(frozen=True)
class StorageOptions:
    """How `report` stores a checkpoint.

    Args:
        mode: when its files are stored.
        dir_name: of its folder in the run's; None for one that is made.
        delete_local: whether the local folder goes; None for what the mode does.
        upload_fn: stores the files instead: gets the checkpoint and `dir_name`, returns the stored checkpoint.
    """

    mode: CheckpointUploadMode = CheckpointUploadMode.SYNC
    dir_name: str | None = None
    delete_local: bool | None = None
    upload_fn: Callable[[Checkpoint, str | None], Checkpoint] | None = None

    @property
    def deletes_local(self) -> bool:
        """Whether the local folder is given away."""
        return self.delete_local if self.delete_local is not None else self.mode is CheckpointUploadMode.ASYNC
