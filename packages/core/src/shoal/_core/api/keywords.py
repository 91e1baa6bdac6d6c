"""The options that users may write, as types: what an editor completes and a type checker checks.

Only type checkers import this; the running program's own list is in `option_tables`, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from shoal._core.api.placement_group import PlacementGroup
from shoal._core.api.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

Strategy = (
    Literal["DEFAULT", "SPREAD"]
    | PlacementGroupSchedulingStrategy
    | NodeAffinitySchedulingStrategy
    | NodeLabelSchedulingStrategy
    | None
)
ExceptionTypes = list[type[BaseException]] | tuple[type[BaseException], ...]


class CommonKeywords(TypedDict, total=False):
    """Options of tasks and of actors."""

    num_cpus: float | None
    num_gpus: float | None
    resources: dict[str, float] | None
    memory: float | None
    object_store_memory: float | None
    accelerator_type: str | None
    runtime_env: Mapping[str, Any] | None
    scheduling_strategy: Strategy
    name: str | None
    label_selector: dict[str, str] | None
    fallback_strategy: Sequence[dict[str, Any]] | None
    enable_task_events: bool
    placement_group: PlacementGroup | Literal["default"] | None
    placement_group_bundle_index: int
    placement_group_capture_child_tasks: bool | None
    _labels: dict[str, str] | None
    _metadata: dict[str, Any] | None


class TaskKeywords(CommonKeywords, total=False):
    """Options of tasks, besides `num_returns`."""

    max_retries: int | None
    retry_exceptions: bool | ExceptionTypes
    max_calls: int | None
    _generator_backpressure_num_objects: int | None


class ActorKeywords(CommonKeywords, total=False):
    """Options of actors."""

    namespace: str | None
    get_if_exists: bool
    lifetime: Literal["detached", "non_detached"] | None
    max_restarts: int | None
    max_task_retries: int | None
    max_concurrency: int | None
    concurrency_groups: dict[str, int] | list[dict[str, Any]] | None
    max_pending_calls: int | None
    allow_out_of_order_execution: bool | None
    enable_tensor_transport: bool | None
    _actor_generator_backpressure_num_objects: int | None


class RemoteKeywords(TaskKeywords, ActorKeywords, total=False):
    """Options of `@remote(...)`, before it is known what is decorated."""


class MethodKeywords(TypedDict, total=False):
    """Options of one actor method or call, besides `num_returns`."""

    name: str | None
    concurrency_group: str | None
    max_task_retries: int | None
    retry_exceptions: bool | ExceptionTypes
    enable_task_events: bool
    tensor_transport: str | None
    _generator_backpressure_num_objects: int | None
