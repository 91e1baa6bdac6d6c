"""How a training run is scaled, stored and kept alive. All frozen, and checked when made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        accelerator_type: of the GPUs, such as 'H100'; None for any.
        label_selector: labels of the nodes that may be used; None for any.
        use_tpu: not offered: False.
        topology: of TPUs; not offered: None.
        trainer_resources: accepted for Ray's sake: what drives the run is a thread of the driver.

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
    accelerator_type: str | None = None
    label_selector: Mapping[str, str] | None = None
    use_tpu: bool = False
    topology: str | None = None
    trainer_resources: Mapping[str, float] | None = None

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
        if self.use_tpu or self.topology is not None:
            raise InvalidArgumentError("use_tpu and topology: there are no TPU workers; use_gpu=True asks for GPUs")

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
        if self.accelerator_type is not None:
            given[f"accelerator_type:{self.accelerator_type}"] = 0.001
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
    def additional_resources_per_worker(self) -> dict[str, float]:
        """What one worker has besides CPUs and GPUs."""
        return {name: amount for name, amount in self.resources.items() if name not in ("CPU", "GPU")}

    @property
    def total_resources(self) -> dict[str, float]:
        """Of all workers together; of the most, where their number is elastic."""
        return {name: amount * self.max_workers for name, amount in self.resources.items()}


@dataclass(frozen=True)
class FailureConfig:
    """What is done about failures.

    Args:
        max_failures: how often the workers (or a trial) are started again after one of them failed; -1 for any number.
        fail_fast: of a search: True to end all trials when one has failed for good, 'raise' to raise its error besides.
        controller_failure_limit: accepted for Ray's sake: the controller is a thread of the driver, and fails with it.
        max_preemption_failures: accepted for Ray's sake: a machine that goes away counts as a failure.
        relax_collectives_on_preemption: accepted for Ray's sake.
        preemption_grace_s: accepted for Ray's sake; seconds.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
    """

    max_failures: int = 0
    fail_fast: bool | str = False
    controller_failure_limit: int = -1
    max_preemption_failures: int = -1
    relax_collectives_on_preemption: bool = False
    preemption_grace_s: float = 0.0

    def __post_init__(self) -> None:
        _check_whole("max_failures", self.max_failures, -1, "or -1 for any number")
        if not (isinstance(self.fail_fast, bool) or self.fail_fast == "raise"):
            raise InvalidArgumentError(f"fail_fast is {self.fail_fast!r}; give True, False or 'raise'")
        if self.fail_fast and self.max_failures != 0:
            raise InvalidArgumentError(
                f"fail_fast is {self.fail_fast!r} and max_failures is {self.max_failures}; "
                f"either end at the first failure, or try again: give one of them"
            )


@dataclass(frozen=True)
class CheckpointConfig:
    """Which checkpoints are kept, and which a search makes by itself.

    Args:
        num_to_keep: how many; None for all. The latest is kept besides, to start again from.
        checkpoint_score_attribute: the metric by which the best are kept ('a/b' for one inside of another); None to keep the latest.
        checkpoint_score_order: 'max' or 'min'.
        checkpoint_frequency: of class trainables: results from one checkpoint to the next; 0 for none on the way.
        checkpoint_at_end: of class trainables: one more when a trial is over; None for no.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str = "max"
    checkpoint_frequency: int | None = 0
    checkpoint_at_end: bool | None = None

    def __post_init__(self) -> None:
        if self.num_to_keep is not None:
            _check_whole("num_to_keep", self.num_to_keep, 1, "or None for all")
        if self.checkpoint_frequency is not None:
            _check_whole("checkpoint_frequency", self.checkpoint_frequency, 0, "of results")
        if self.checkpoint_score_order not in ("max", "min"):
            raise InvalidArgumentError(
                f"checkpoint_score_order is {self.checkpoint_score_order!r}; give 'max' or 'min'"
            )
        attribute: object = self.checkpoint_score_attribute
        if attribute is not None and not isinstance(attribute, str):
            raise InvalidArgumentError(f"checkpoint_score_attribute is {attribute!r}; give the name of a metric")


@dataclass(frozen=True)
class SyncConfig:
    """Accepted for Ray's sake, and without any effect: a checkpoint is in the storage before it counts, and other files of a search follow
    every ten seconds and at its end.

    Args:
        sync_period: seconds.
        sync_timeout: seconds.
        sync_artifacts: whether other files of a trial's folder are stored too; they lie there anyway.
        sync_artifacts_on_checkpoint: the same.
    """

    sync_period: float = 300
    sync_timeout: float = 1800
    sync_artifacts: bool = False
    sync_artifacts_on_checkpoint: bool = True


@dataclass(frozen=True)
class LoggingConfig:
    """Accepted for Ray's sake, checked, and without any effect: a run keeps no log of its own but for a few warnings, which Python's logger
    'shoal.train' has; `logging.getLogger("shoal.train").setLevel(...)` says which are shown.

    Args:
        log_level: 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such level.
    """

    log_level: str = "INFO"

    def __post_init__(self) -> None:
        levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        if self.log_level not in levels:
            raise InvalidArgumentError(f"log_level is {self.log_level!r}; give one of {', '.join(levels)}")


@dataclass(frozen=True)
class RunConfig:
    """Where a run is stored, how failures and checkpoints are dealt with, and who is told. Of a training run, and of a search.

    Args:
        name: of the run (120 characters at most); None to make one of the time. A run of the same name goes on from its last checkpoint.
        storage_path: folder or URI under which the run's folder is made; None for `~/ray_results`, as in Ray.
        storage_filesystem: of pyarrow or fsspec; None to find it by the path.
        failure_config: None for no restarts.
        checkpoint_config: None to keep all.
        callbacks: who is told: `UserCallback`s and loggers such as `MLflowLoggerCallback` (of a search: its callbacks).
        worker_runtime_env: the environment that the workers run in, as `runtime_env` of an actor.
        logging_config: accepted for Ray's sake.
        sync_config: accepted for Ray's sake.
        verbose: how much progress is shown: 0 for none; None for as much as the terminal bears.
        stop: of a search: when a trial ends: a dict from a metric to its limit, a function, or a Stopper.
        progress_reporter: of a search: shows the progress instead.
        log_to_file: of a search: whether what trials print goes to files; or the name of one file, or of two (output, errors).

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train import CheckpointConfig, FailureConfig, RunConfig
        >>> config = RunConfig("digits", failure_config=FailureConfig(3), checkpoint_config=CheckpointConfig(num_to_keep=2))
        >>> config.name
        'digits'
    """

    name: str | None = None
    storage_path: str | os.PathLike[str] | None = None
    storage_filesystem: Any = None
    failure_config: FailureConfig | None = None
    checkpoint_config: CheckpointConfig | None = None
    callbacks: Sequence[Any] | None = None
    worker_runtime_env: Mapping[str, Any] | None = None
    logging_config: LoggingConfig | None = None
    sync_config: SyncConfig | None = None
    verbose: int | None = None
    stop: Any = None
    progress_reporter: Any = None
    log_to_file: bool | str | tuple[str, str] = False

    def __post_init__(self) -> None:
        check_path_component("name", self.name)
        _check_type("storage_path", self.storage_path, (str, os.PathLike), "a folder or a URI")
        _check_type("failure_config", self.failure_config, (FailureConfig,), "a FailureConfig")
        _check_type("checkpoint_config", self.checkpoint_config, (CheckpointConfig,), "a CheckpointConfig")
        _check_type("logging_config", self.logging_config, (LoggingConfig,), "a LoggingConfig")
        _check_type("sync_config", self.sync_config, (SyncConfig,), "a SyncConfig")
        _check_type("worker_runtime_env", self.worker_runtime_env, (Mapping,), "a dict")
        _check_type("callbacks", self.callbacks, (list, tuple), "a list")
        _check_type("verbose", self.verbose, (int,), "0, 1, 2 or 3")
        _check_type("log_to_file", self.log_to_file, (bool, str, list, tuple), "True, a file's name, or two of them")
        if self.stop is not None and not (isinstance(self.stop, Mapping | list | tuple) or callable(self.stop)):
            raise InvalidArgumentError(f"stop is {self.stop!r}; give a dict of metrics, a function, or Stoppers")


LONGEST_COMPONENT = 120
"""Characters. File systems take 255 bytes; what users and loggers add needs room."""


def check_path_component(argument: str, value: object) -> None:
    """Raises InvalidArgumentError unless it can be the name of a folder, or is None."""
    if value is None:
        return
    if not isinstance(value, str) or not value or "/" in value or value in (".", ".."):
        raise InvalidArgumentError(f"{argument} is {value!r}; give a text without '/'")
    if len(value) > LONGEST_COMPONENT:
        raise InvalidArgumentError(
            f"{argument} has {len(value)} characters; give {LONGEST_COMPONENT} at most: {value[:40]!r}…"
        )


def _check_type(argument: str, value: object, types: tuple[type, ...], instead: str) -> None:
    if value is not None and not isinstance(value, types):
        raise InvalidArgumentError(f"{argument} is {value!r}; give {instead}")


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
