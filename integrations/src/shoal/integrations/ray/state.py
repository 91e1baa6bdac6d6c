"""What Ray's state API lists, as rows of shoal's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ray.util import state as of_ray
from ray.util.state.exception import RayStateApiException

from shoal.exceptions import NotSupportedByEngineError
from shoal.integrations.ray.limits import WITHOUT_DASHBOARD
from shoal.integrations.ray.placement_groups import group_rows

_MOST = 10_000
_LISTS: dict[str, Callable[..., Any]] = {
    "actors": of_ray.list_actors,
    "events": of_ray.list_cluster_events,
    "jobs": of_ray.list_jobs,
    "nodes": of_ray.list_nodes,
    "objects": of_ray.list_objects,
    "runtime_envs": of_ray.list_runtime_envs,
    "tasks": of_ray.list_tasks,
    "workers": of_ray.list_workers,
}
_WITHOUT_DETAIL = ("events", "jobs")


def state_rows(what: str) -> list[dict[str, Any]]:
    """Returns rows of one kind. Raises NotSupportedByEngineError where the cluster has no dashboard, which Ray asks."""
    if what == "placement_groups":
        return group_rows()
    if what == "metrics":
        return []  # Ray sends metrics to Prometheus, and keeps none
    found = _LISTS.get(what)
    if found is None:
        raise ValueError(f"there is no list of {what!r}")
    try:
        records = found(limit=_MOST, detail=what not in _WITHOUT_DETAIL, raise_on_missing_output=False)
    except (RayStateApiException, ConnectionError, ImportError) as error:
        raise NotSupportedByEngineError(
            f"The list of {what} (without a dashboard: {error})", WITHOUT_DASHBOARD, "ray"
        ) from error
    return [record if isinstance(record, dict) else dataclasses.asdict(record) for record in records]
