"""Distributed training: the same loop in several workers, with checkpoints and recovery. Ray Train's API."""

from shoal.train import collective
from shoal.train._internal.version import __version__ as __version__
from shoal.train.backend import BackendConfig
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import (
    TRAIN_DATASET_KEY,
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    SyncConfig,
)
from shoal.train.context import (
    PreemptionInfo,
    TrainContext,
    get_all_reported_checkpoints,
    get_checkpoint,
    get_context,
    get_dataset_shard,
    get_preemption_info,
    report,
)
from shoal.train.data_config import DataConfig
from shoal.train.exceptions import (
    CheckpointError,
    ControllerError,
    InvalidArgumentError,
    ReportMismatchError,
    TrainingFailedError,
    WorkerGroupError,
)
from shoal.train.reporting import (
    CheckpointConsistencyMode,
    CheckpointUploadMode,
    ReportedCheckpoint,
    ReportedCheckpointStatus,
    ValidationConfig,
    ValidationFn,
    ValidationTaskConfig,
)
from shoal.train.result import Result
from shoal.train.user_callback import RunContext, UserCallback

__all__ = [
    "TRAIN_DATASET_KEY",
    "BackendConfig",
    "Checkpoint",
    "CheckpointConfig",
    "CheckpointConsistencyMode",
    "CheckpointError",
    "CheckpointUploadMode",
    "ControllerError",
    "DataConfig",
    "FailureConfig",
    "InvalidArgumentError",
    "LoggingConfig",
    "PreemptionInfo",
    "ReportMismatchError",
    "ReportedCheckpoint",
    "ReportedCheckpointStatus",
    "Result",
    "RunConfig",
    "RunContext",
    "ScalingConfig",
    "SyncConfig",
    "TrainContext",
    "TrainingFailedError",
    "UserCallback",
    "ValidationConfig",
    "ValidationFn",
    "ValidationTaskConfig",
    "WorkerGroupError",
    "collective",
    "get_all_reported_checkpoints",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "get_preemption_info",
    "report",
]
