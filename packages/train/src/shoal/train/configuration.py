"""How a training run is scaled, stored and kept alive. All frozen, and checked when made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from shoal.train.exceptions import InvalidArgumentError

TRAIN_DATASET_KEY = "train"
"""The name of the dataset that `get_dataset_shard()` without a name gives."""


@dataclass(frozen=True)
class ScalingConfig:
    """How many workers there are, and what each of them has.

    Args:
        num_workers: processes (>= 1); 0 to run the loop in the driver, for debugging. A pair (fewest, most) is elastic: the run
            has as many workers as fit, goes on with fewer where some are lost, and with more, from a checkpoint on, when there
            is room again.
        use_gpu: each worker has a GPU.
        resources_per_worker: amounts by resource; None for one CPU, or one GPU with `use_gpu`.
        placement_strategy: of their placement group: 'PACK', 'SPREAD', 'STRICT_PACK' or 'STRICT_SPREAD'.
        elastic_resize_monitor_interval_s: seconds that a number of workers is kept, before more of them are asked for.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train import ScalingConfig
        >>> ScalingConfig(num_workers=2).num_cpus_per_worker
        1.0
        >>> ScalingConfig(num_workers=(1, 4)).max_workers
        4
    """

    num_workers: int | tuple[int, int] = 1
    use_gpu: bool = False
    resources_per_worker: Mapping[str, float] | None = None
    placement_strategy: str = "PACK"
    elastic_resize_monitor_interval_s: float = 60.0

    def __post_init__(self) -> None:
        _check_workers(self.num_workers)
        if not _is_amount(self.elastic_resize_monitor_interval_s):
            raise InvalidArgumentError(
                f"elastic_resize_monitor_interval_s is {self.elastic_resize_monitor_interval_s!r}; give seconds >= 0"
            )
        strategies = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
        if self.placement_strategy not in strategies:
            raise InvalidArgumentError(
                f"placement_strategy is {self.placement_strategy!r}; give one of {', '.join(strategies)}"
            )
        for name, amount in (self.resources_per_worker or {}).items():
            if not _is_amount(amount):
                raise InvalidArgumentError(f"resources_per_worker[{name!r}] is {amount!r}; give an amount >= 0")

    @property
    def min_workers(self) -> int:
        """The fewest that a run goes on with."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def max_workers(self) -> int:
        """The most that a run has."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    @property
    def is_elastic(self) -> bool:
        """Whether a run may go on with another number of workers."""
        return self.min_workers < self.max_workers

    @property
    def resources(self) -> Mapping[str, float]:
        """Of one worker."""
        given = dict(self.resources_per_worker) if self.resources_per_worker is not None else {}
        if self.use_gpu:
            given.setdefault("GPU", 1.0)
        elif self.resources_per_worker is None:
            given["CPU"] = 1.0
        return MappingProxyType(given)

    @property
    def num_cpus_per_worker(self) -> float:
        """CPUs of one worker."""
        return float(self.resources.get("CPU", 0.0))

    @property
    def num_gpus_per_worker(self) -> float:
        """GPUs of one worker."""
        return float(self.resources.get("GPU", 0.0))

    @property
    def total_resources(self) -> dict[str, float]:
        """Of all workers together; of the most, where their number is elastic."""
        return {name: amount * self.max_workers for name, amount in self.resources.items()}


@dataclass(frozen=True)
class FailureConfig:
    """What is done about failures.

    Args:
        max_failures: how often the workers are started again after one of them failed; -1 for any number.
    """

    max_failures: int = 0

    def __post_init__(self) -> None:
        _check_whole("max_failures", self.max_failures, -1, "or -1 for any number")


@dataclass(frozen=True)
class CheckpointConfig:
    """Which checkpoints are kept.

    Args:
        num_to_keep: how many; None for all. The latest is kept besides, to start again from.
        checkpoint_score_attribute: the metric by which the best are kept; None to keep the latest.
        checkpoint_score_order: 'max' or 'min'.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str = "max"

    def __post_init__(self) -> None:
        if self.num_to_keep is not None:
            _check_whole("num_to_keep", self.num_to_keep, 1, "or None for all")
        if self.checkpoint_score_order not in ("max", "min"):
            raise InvalidArgumentError(
                f"checkpoint_score_order is {self.checkpoint_score_order!r}; give 'max' or 'min'"
            )


@dataclass(frozen=True)
class RunConfig:
    """Where a run is stored, and how failures and checkpoints are dealt with.

    Args:
        name: of the run; None to make one of the time. A run of the same name goes on from its last checkpoint.
        storage_path: folder or URI under which the run's folder is made; None for `~/ray_results`, as in Ray.
        storage_filesystem: of pyarrow or fsspec; None to find it by the path.
        failure_config: None for no restarts.
        checkpoint_config: None to keep all.
    """

    name: str | None = None
    storage_path: str | os.PathLike[str] | None = None
    storage_filesystem: Any = None
    failure_config: FailureConfig | None = None
    checkpoint_config: CheckpointConfig | None = None
    callbacks: Sequence[Any] = field(default=())

    def __post_init__(self) -> None:
        if self.name is not None and not _is_name(self.name):
            raise InvalidArgumentError(f"name is {self.name!r}; give a text without '/'")


def _check_workers(value: object) -> None:
    if not isinstance(value, tuple):
        _check_whole("num_workers", value, 0, "0 to run in the driver, or a pair (fewest, most)")
        return
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    if len(value) != 2 or not whole or not 1 <= value[0] <= value[1]:
        raise InvalidArgumentError(f"num_workers is {value!r}; give a pair (fewest, most) with 1 <= fewest <= most")


def _check_whole(argument: str, value: object, least: int, instead: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArgumentError(f"{argument} is {value!r}; give a whole number >= {max(least, 0)}, {instead}")


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "/" not in value
