"""What a run is to do, as its trainer says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal.train._internal.process.run_datasets import RunDatasets
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train.backend import BackendConfig
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import FailureConfig, ScalingConfig
from shoal.train.reporting import ValidationConfig


@dataclass(frozen=True)
class Plan:
    """What is run.

    Args:
        loop: of each worker; takes nothing.
        scaling: how many workers.
        failure: how often they are started again.
        backend: what is set up in each.
        experiment: the run's name.
        storage: its folder.
        datasets: each rank's part of them.
        start_from: what a new run begins from; None for nothing.
        runtime_env: of the workers; None for the session's.
        validation: how checkpoints are validated; None for not at all.
    """

    loop: Callable[[], Any]
    scaling: ScalingConfig
    failure: FailureConfig
    backend: BackendConfig
    experiment: str
    storage: RunStorage
    datasets: RunDatasets
    start_from: Checkpoint | None = None
    runtime_env: Mapping[str, Any] | None = None
    validation: ValidationConfig | None = None
