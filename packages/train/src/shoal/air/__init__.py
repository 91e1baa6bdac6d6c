"""What Train and Tune have in common, under the names that Ray's AIR gave it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.air import session as session
    from shoal.train.checkpoint import Checkpoint as Checkpoint
    from shoal.train.configuration import (
        CheckpointConfig as CheckpointConfig,
    )
    from shoal.train.configuration import (
        FailureConfig as FailureConfig,
    )
    from shoal.train.configuration import (
        RunConfig as RunConfig,
    )
    from shoal.train.configuration import (
        ScalingConfig as ScalingConfig,
    )
    from shoal.train.data_config import DataConfig as DataConfig
    from shoal.train.result import Result as Result

_HOMES = {
    "Checkpoint": "shoal.train.checkpoint",
    "CheckpointConfig": "shoal.train.configuration",
    "DataConfig": "shoal.train.data_config",
    "FailureConfig": "shoal.train.configuration",
    "Result": "shoal.train.result",
    "RunConfig": "shoal.train.configuration",
    "ScalingConfig": "shoal.train.configuration",
}
"""They are looked up when they are used: shoal.train itself tells loggers of shoal.air what happens."""

__all__ = [
    "Checkpoint",
    "CheckpointConfig",
    "DataConfig",
    "FailureConfig",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "session",
]


def __getattr__(name: str) -> Any:
    if name == "session":
        return importlib.import_module("shoal.air.session")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
