"""What the state API returns: one record a thing, with attributes and items of the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class StateRecord(Mapping[str, Any]):
    """Base of all records. `record.state` and `record["state"]` are the same."""

    fields: ClassVar[tuple[str, ...]] = ()
    """Names that a record always has."""
    id_field: ClassVar[str] = ""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {**dict.fromkeys(self.fields), **values}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}; it has {', '.join(self._values)}", name=name, obj=self
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def asdict(self) -> dict[str, Any]:
        return dict(self._values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._values.items() if value is not None)
        return f"{type(self).__name__}({shown})"


class ActorState(StateRecord):
    """One actor. States: DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING, DEAD."""

    id_field = "actor_id"
    fields = (
        "actor_id",
        "class_name",
        "state",
        "job_id",
        "name",
        "node_id",
        "pid",
        "ray_namespace",
        "serialized_runtime_env",
        "required_resources",
        "death_cause",
        "is_detached",
        "placement_group_id",
        "repr_name",
        "num_restarts",
        "num_restarts_due_to_lineage_reconstruction",
        "num_restarts_due_to_node_preemption",
        "call_site",
        "label_selector",
    )


class TaskState(StateRecord):
    """One task or actor call. States: PENDING_ARGS_AVAIL, PENDING_NODE_ASSIGNMENT, SUBMITTED_TO_WORKER, RUNNING, FINISHED, FAILED."""

    id_field = "task_id"
    fields = (
        "task_id",
        "attempt_number",
        "name",
        "state",
        "job_id",
        "actor_id",
        "type",
        "func_or_class_name",
        "parent_task_id",
        "node_id",
        "worker_id",
        "worker_pid",
        "error_type",
        "error_message",
        "language",
        "required_resources",
        "runtime_env_info",
        "placement_group_id",
        "events",
        "profiling_data",
        "creation_time_ms",
        "start_time_ms",
        "end_time_ms",
        "task_log_info",
        "is_debugger_paused",
        "call_site",
    )


class NodeState(StateRecord):
    """One node. States: ALIVE, DEAD."""

    id_field = "node_id"
    fields = (
        "node_id",
        "node_ip",
        "is_head_node",
        "state",
        "state_message",
        "node_name",
        "resources_total",
        "labels",
        "start_time_ms",
        "end_time_ms",
    )


class WorkerState(StateRecord):
    """One process: a worker (living or dead) or a driver."""

    id_field = "worker_id"
    fields = (
        "worker_id",
        "is_alive",
        "worker_type",
        "exit_type",
        "exit_detail",
        "node_id",
        "ip",
        "pid",
        "worker_launch_time_ms",
        "worker_launched_time_ms",
        "start_time_ms",
        "end_time_ms",
        "debugger_port",
        "num_paused_threads",
    )


class ObjectState(StateRecord):
    """One object, as one process knows it."""

    id_field = "object_id"
    fields = (
        "object_id",
        "object_size",
        "task_status",
        "attempt_number",
        "reference_type",
        "call_site",
        "type",
        "pid",
        "ip",
    )


class JobState(StateRecord):
    """One program that is connected to the session."""

    id_field = "job_id"
    fields = (
        "job_id",
        "submission_id",
        "type",
        "status",
        "entrypoint",
        "message",
        "driver_info",
        "start_time",
        "end_time",
    )


class PlacementGroupState(StateRecord):
    """One placement group. States: PENDING, PREPARED, CREATED, REMOVED, RESCHEDULING."""

    id_field = "placement_group_id"
    fields = ("placement_group_id", "name", "creator_job_id", "state", "bundles", "is_detached", "stats")


class RuntimeEnvState(StateRecord):
    """One runtime environment."""

    id_field = "runtime_env"
    fields = ("runtime_env", "success", "creation_time_ms", "node_id", "ref_cnt", "error")


class ClusterEventState(StateRecord):
    """One event of the session."""

    id_field = "event_id"
    fields = ("severity", "time", "source_type", "message", "event_id", "custom_fields")


RECORDS: dict[str, type[StateRecord]] = {
    "actors": ActorState,
    "tasks": TaskState,
    "nodes": NodeState,
    "workers": WorkerState,
    "objects": ObjectState,
    "jobs": JobState,
    "placement_groups": PlacementGroupState,
    "runtime_envs": RuntimeEnvState,
    "cluster_events": ClusterEventState,
}
"""By the name that `shoal list` and `list_*` have."""
