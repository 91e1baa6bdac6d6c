"""Options of tasks, actors and methods as the keywords that Ray takes for them."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ray.util import scheduling_strategies as of_ray

from shoal import cloudpickle
from shoal.engines import (
    DYNAMIC,
    STREAMING,
    ActorOptions,
    MethodOptions,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    SchedulingStrategy,
    SpreadStrategy,
    TaskOptions,
)
from shoal.integrations.ray.errors import RETRIED
from shoal.integrations.ray.placement_groups import ray_group

_KEYWORDS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory", "object_store_memory": "object_store_memory"}
_BYTES = ("memory", "object_store_memory")
_PICKLED = "pickled:"


def task_keywords(options: TaskOptions, name: str) -> dict[str, Any]:
    """Returns what `.options()` of Ray's remote functions takes for a task. (`max_calls` belongs to the function: see `tasks`.)

    Args:
        options: the task's options.
        name: its name.
    """
    keywords = {"num_cpus": 0.0, **_resources(options.resources.to_floats()), **_placing(options)}
    keywords |= {
        "name": name,
        "num_returns": num_returns(options.num_returns),
        "max_retries": options.max_retries,
    }
    if options.retry_exceptions:
        keywords["retry_exceptions"] = RETRIED
    if options.generator_backpressure > 0:
        keywords["_generator_backpressure_num_objects"] = options.generator_backpressure
    return keywords


def actor_keywords(options: ActorOptions) -> dict[str, Any]:
    """Returns what `.options()` of Ray's actor classes takes. (`concurrency_groups` belong to the class: see `actors`.)"""
    held = options.resources.to_floats()
    keywords = {**_resources(held), **_placing(options)}
    if options.placement_resources == options.resources:
        # Otherwise nothing is asked for but a CPU to be placed, which is what Ray does where nothing is said.
        keywords.setdefault("num_cpus", 0.0)
    if options.name:
        keywords["name"] = options.name
    if options.namespace is not None:
        keywords["namespace"] = options.namespace
    if options.max_concurrency is not None:
        keywords["max_concurrency"] = options.max_concurrency
    if options.allow_out_of_order_execution is not None:
        keywords["allow_out_of_order_execution"] = options.allow_out_of_order_execution
    return keywords | {
        "get_if_exists": options.get_if_exists,
        "lifetime": "detached" if options.detached else "non_detached",
        "max_restarts": options.max_restarts,
        "max_task_retries": options.max_task_retries,
        "max_pending_calls": options.max_pending_calls,
    }


def method_keywords(options: MethodOptions, name: str) -> dict[str, Any]:
    """Returns what `.options()` of Ray's actor methods takes for a call.

    Args:
        options: the call's options.
        name: what to call it where it is shown.
    """
    keywords: dict[str, Any] = {"num_returns": num_returns(options.num_returns), "name": name}
    if options.concurrency_group:
        keywords["concurrency_group"] = options.concurrency_group
    if options.max_task_retries is not None:
        keywords["max_task_retries"] = options.max_task_retries
    if options.retry_exceptions:
        keywords["retry_exceptions"] = RETRIED
    if options.generator_backpressure > 0:
        keywords["_generator_backpressure_num_objects"] = options.generator_backpressure
    return keywords


def num_returns(count: int) -> int | str:
    """Returns a number of results in Ray's words."""
    return {STREAMING: "streaming", DYNAMIC: "dynamic"}.get(count, count)


def _resources(amounts: Mapping[str, float]) -> dict[str, Any]:
    keywords: dict[str, Any] = {}
    custom = {}
    for name, amount in amounts.items():
        if name not in _KEYWORDS:
            custom[name] = amount
        else:
            keywords[_KEYWORDS[name]] = int(amount) if name in _BYTES else amount
    if custom:
        keywords["resources"] = custom
    return keywords


def _placing(options: TaskOptions | ActorOptions) -> dict[str, Any]:
    keywords: dict[str, Any] = {"scheduling_strategy": _strategy(options.strategy)}
    if options.label_selector:
        keywords["label_selector"] = dict(options.label_selector)
    if options.fallback_strategy:
        keywords["fallback_strategy"] = [{"label_selector": dict(one)} for one in options.fallback_strategy]
    if options.environment is not None:
        keywords["runtime_env"] = runtime_env(options.environment)
    return keywords


def runtime_env(environment: Any) -> dict[str, Any]:
    """Returns a runtime environment as Ray takes it: the fields have the same names."""
    fields: dict[str, Any] = json.loads(environment.json)
    hook = fields.get("worker_process_setup_hook", "")
    if hook.startswith(_PICKLED):
        fields["worker_process_setup_hook"] = cloudpickle.loads(b64decode(hook.removeprefix(_PICKLED)))
    return fields


def _strategy(strategy: SchedulingStrategy) -> Any:
    if isinstance(strategy, PlacementGroupStrategy):
        group = ray_group(strategy.group_id)
        return of_ray.PlacementGroupSchedulingStrategy(group, strategy.bundle_index, strategy.capture_children)
    if isinstance(strategy, NodeAffinityStrategy):
        return of_ray.NodeAffinitySchedulingStrategy(
            strategy.node_id, strategy.soft, strategy.spill_on_unavailable, strategy.fail_on_unavailable
        )
    if isinstance(strategy, NodeLabelStrategy):
        return of_ray.NodeLabelSchedulingStrategy(_expressions(strategy.hard), soft=_expressions(strategy.soft))
    return "SPREAD" if isinstance(strategy, SpreadStrategy) else "DEFAULT"


def _expressions(selector: Any) -> dict[str, Any]:
    return {condition.key: _OPERATORS[condition.operator](*condition.values) for condition in selector}


_OPERATORS: dict[str, Any] = {
    "in": of_ray.In,
    "!in": of_ray.NotIn,
    "exists": of_ray.Exists,
    "!exists": of_ray.DoesNotExist,
}
