"""How datasets are executed: one set of settings for the process, which each dataset copies when it is made."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from shoal.data.exceptions import InvalidArgumentError

MIB = 1024 * 1024

NodeIdStr = str
"""Names a node, in hints about where data shall be."""


class ShuffleStrategy(StrEnum):
    """Names of Ray's shuffle implementations. shoal has one, and takes any of them for it."""

    SORT_SHUFFLE_PULL_BASED = "sort_shuffle_pull_based"
    SORT_SHUFFLE_PUSH_BASED = "sort_shuffle_push_based"
    HASH_SHUFFLE = "hash_shuffle"
    SHUFFLE_V2 = "shuffle_v2"
    GPU_SHUFFLE = "gpu_shuffle"


@dataclass
class ExecutionResources:
    """Amounts of resources; None for no limit.

    Args:
        cpu: cores.
        gpu: devices.
        object_store_memory: bytes.
        memory: bytes.
    """

    cpu: float | None = None
    gpu: float | None = None
    object_store_memory: float | None = None
    memory: float | None = None


@dataclass
class ExecutionOptions:
    """Limits and wishes for the execution of one dataset.

    Args:
        resource_limits: most that is used at a time.
        exclude_resources: what is left alone, for other work of the program.
        preserve_order: accepted for Ray's sake; order is always kept.
        actor_locality_enabled: accepted for Ray's sake.
        verbose_progress: one progress line an operator; None for the context's setting.
        label_selector: labels of nodes that may be used.
    """

    resource_limits: ExecutionResources = field(default_factory=ExecutionResources)
    exclude_resources: ExecutionResources = field(default_factory=ExecutionResources)
    preserve_order: bool = True
    actor_locality_enabled: bool = True
    verbose_progress: bool | None = None
    label_selector: dict[str, str] | None = None


@dataclass
class AutoscalingConfig:
    """When pools of actors grow and shrink; utilisation is batches in flight per slot."""

    actor_pool_util_upscaling_threshold: float = 1.75
    actor_pool_util_downscaling_threshold: float = 0.5
    actor_pool_max_upscaling_delta: int | None = None


@dataclass
class DataContext:
    """Settings of the process. Sizes in bytes, times in seconds."""

    target_max_block_size: int | None = 128 * MIB
    target_min_block_size: int = 1 * MIB
    small_data_size: int = 8 * MIB
    """Datasets up to so many bytes are worked on in the driver, without a task, where nothing asks for tasks or actors."""
    columnar_data_size: int = 64 * MIB
    """The same for plans that call no function of the user's on more than `small_data_size`: expressions, built-in aggregations, joins."""
    read_op_min_num_blocks: int = 200
    enable_progress_bars: bool = True
    enable_operator_progress_bars: bool = True
    use_ray_tqdm: bool = True
    enable_rich_progress_bars: bool = False
    print_on_execution_start: bool = False
    shuffle_strategy: ShuffleStrategy = ShuffleStrategy.SHUFFLE_V2
    use_push_based_shuffle: bool = False
    default_hash_shuffle_parallelism: int = 200
    max_hash_shuffle_aggregators: int | None = None
    max_errored_blocks: int = 0
    """Blocks that may fail by errors of the user's functions and are left out; -1 for any number. Such plans run in tasks."""
    save_failed_batches_to: str | None = None
    """A folder (path or URI) for the rows of batches on which a function of the user's raised, as Arrow files; None to save none.
    The error's notes name the file. Datasets take it when the step is added."""
    actor_task_retry_on_errors: bool | list[type[BaseException]] = False
    """After which errors an object of a class is called again with the same row or batch, `max_map_retries` times (3 where that is 0)."""
    write_file_retry_on_errors: list[str] = field(default_factory=list)
    """Parts of what errors say after which a task of writing begins again, up to 5 times. S3 is tried again in any case."""
    retried_io_errors: list[str] = field(default_factory=list)
    """The same for reading."""
    retried_map_errors: bool | list[str] = False
    """After which errors a function is called again with the same row or batch: True for all, or parts of what they say."""
    max_map_retries: int = 0
    """How often at most. Datasets take this when the step is added."""
    enable_auto_log_stats: bool = False
    verbose_stats_logs: bool = False
    log_internal_stack_trace: bool = False
    raise_original_map_exception: bool = False
    wait_for_min_actors_s: float = -1
    max_tasks_in_flight_per_actor: int | None = None
    autoscaling_config: AutoscalingConfig = field(default_factory=AutoscalingConfig)
    execution_options: ExecutionOptions = field(default_factory=ExecutionOptions)
    scheduling_strategy: Any = "SPREAD"
    execution_no_progress_timeout_s: float = 1800.0
    _extra: dict[str, Any] = field(default_factory=dict)

    _current: ClassVar[DataContext | None] = None

    @staticmethod
    def get_current() -> DataContext:
        """Returns the process's settings; datasets made later use what is changed here.

        Example:
            >>> from shoal.data import DataContext
            >>> DataContext.get_current().enable_progress_bars = False
        """
        if DataContext._current is None:
            DataContext._current = DataContext()
        return DataContext._current

    @property
    def min_parallelism(self) -> int:
        """The old name of `read_op_min_num_blocks`."""
        return self.read_op_min_num_blocks

    @min_parallelism.setter
    def min_parallelism(self, value: int) -> None:
        self.read_op_min_num_blocks = value

    def set_config(self, key: str, value: Any) -> None:
        """Stores something under a name of the program's own."""
        self._extra[key] = value

    def get_config(self, key: str, default: Any = None) -> Any:
        """Returns what `set_config` stored."""
        return self._extra.get(key, default)

    def remove_config(self, key: str) -> None:
        """Forgets what `set_config` stored."""
        self._extra.pop(key, None)

    def copy(self) -> DataContext:
        """Returns a copy that changes apart from this one."""
        return copy.deepcopy(self)

    def checked(self) -> DataContext:
        """Returns this. Raises InvalidArgumentError where a setting cannot be."""
        if self.target_max_block_size is not None and self.target_max_block_size < 1:
            raise InvalidArgumentError(
                f"DataContext.target_max_block_size is {self.target_max_block_size!r}; give bytes > 0, or None for no limit"
            )
        if self.max_errored_blocks < -1:
            raise InvalidArgumentError(
                f"DataContext.max_errored_blocks is {self.max_errored_blocks}; give a number >= 0, or -1 for any number"
            )
        if self.save_failed_batches_to is not None and not isinstance(self.save_failed_batches_to, str):
            raise InvalidArgumentError(
                f"DataContext.save_failed_batches_to is {self.save_failed_batches_to!r}; give a folder's path, or None to save none"
            )
        if (
            isinstance(self.max_map_retries, bool)
            or not isinstance(self.max_map_retries, int)
            or self.max_map_retries < 0
        ):
            raise InvalidArgumentError(f"DataContext.max_map_retries is {self.max_map_retries!r}; give a number >= 0")
        for name in ("retried_io_errors", "write_file_retry_on_errors", "retried_map_errors"):
            value = getattr(self, name)
            if not (isinstance(value, bool) and name == "retried_map_errors") and (
                not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value)
            ):
                raise InvalidArgumentError(f"DataContext.{name} is {value!r}; give a list of parts of what errors say")
        in_flight = self.max_tasks_in_flight_per_actor
        if in_flight is not None and (isinstance(in_flight, bool) or not isinstance(in_flight, int) or in_flight < 1):
            raise InvalidArgumentError(
                f"DataContext.max_tasks_in_flight_per_actor is {in_flight!r}; give a number >= 1, or None to choose"
            )
        return self


DatasetContext = DataContext
"""Its name in older versions of Ray."""
