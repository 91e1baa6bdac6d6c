"""The names of all options, by what they are options of."""

from __future__ import annotations

COMMON_OPTIONS = frozenset(
    {
        "num_cpus",
        "num_gpus",
        "resources",
        "memory",
        "object_store_memory",
        "accelerator_type",
        "runtime_env",
        "scheduling_strategy",
        "name",
        "label_selector",
        "fallback_strategy",
        "enable_task_events",
        "placement_group",
        "placement_group_bundle_index",
        "placement_group_capture_child_tasks",
        "_labels",
        "_metadata",
    }
)
TASK_OPTIONS = COMMON_OPTIONS | {
    "num_returns",
    "max_retries",
    "retry_exceptions",
    "max_calls",
    "_generator_backpressure_num_objects",
}
ACTOR_OPTIONS = COMMON_OPTIONS | {
    "namespace",
    "get_if_exists",
    "lifetime",
    "max_restarts",
    "max_task_retries",
    "max_concurrency",
    "concurrency_groups",
    "max_pending_calls",
    "allow_out_of_order_execution",
    "enable_tensor_transport",
    "_actor_generator_backpressure_num_objects",
}
METHOD_OPTIONS = frozenset(
    {
        "num_returns",
        "name",
        "concurrency_group",
        "max_task_retries",
        "retry_exceptions",
        "enable_task_events",
        "tensor_transport",
        "_generator_backpressure_num_objects",
    }
)
