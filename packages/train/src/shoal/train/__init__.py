"""Distributed training: the same loop in several workers, with checkpoints and recovery. Ray Train's API."""

from shoal.train._internal.version import __version__ as __version__
from shoal.train.backend import BackendConfig
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import (
    TRAIN_DATASET_KEY,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
)
from shoal.train.context import TrainContext, get_checkpoint, get_context, get_dataset_shard, report
from shoal.train.exceptions import ReportMismatchError, TrainingFailedError, WorkerGroupError
from shoal.train.result import Result

__all__ = [
    "TRAIN_DATASET_KEY",
    "BackendConfig",
    "Checkpoint",
    "CheckpointConfig",
    "FailureConfig",
    "ReportMismatchError",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "TrainContext",
    "TrainingFailedError",
    "WorkerGroupError",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "report",
]
