"""Placement groups of Ray, under ids of shoal's length.

Ray's ids of groups have 18 bytes: 14 by chance, then the number of the job, little-endian. shoal's have 16: without the upper half
of that number.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from shoal.exceptions import NotSupportedByEngineError

_ID_SIZE = 16
_CUT = bytes(2)


def shoal_id(ray_id: bytes) -> bytes:
    """Returns the id by which shoal knows a group of Ray. Raises NotSupportedByEngineError after 65,535 jobs."""
    if ray_id[_ID_SIZE:] != _CUT:
        raise NotSupportedByEngineError(
            f"placement group {ray_id.hex()}, made after the cluster's 65,535th job,",
            "Use Ray's own API for it, or a cluster that was started more recently.",
            "ray",
        )
    return ray_id[:_ID_SIZE]


def ray_group(group_id: bytes) -> PlacementGroup:
    """Returns Ray's group of an id of shoal."""
    return PlacementGroup(ray.PlacementGroupID(group_id + _CUT))


def create_group(
    bundles: list[dict[str, float]],
    strategy: str,
    name: str,
    detached: bool,
    label_selectors: list[dict[str, str]],
) -> bytes:
    """Asks Ray for a group and returns its id."""
    group = placement_group(
        bundles,
        strategy=strategy,
        name=name,
        lifetime="detached" if detached else None,
        bundle_label_selector=label_selectors or None,
    )
    return shoal_id(group.id.binary())


def ready_ref(group_id: bytes, value: Any) -> Any:
    """Returns Ray's reference of a task that runs in the group, so not before it is reserved, and gives `value`."""
    strategy = PlacementGroupSchedulingStrategy(ray_group(group_id))
    return (
        ray.remote(_same).options(num_cpus=0, name="placement_group.ready", scheduling_strategy=strategy).remote(value)
    )


def _same(value: Any) -> Any:
    return value


def remove_group(group_id: bytes) -> None:
    """Gives the group's resources back."""
    remove_placement_group(ray_group(group_id))


def group_rows() -> list[dict[str, Any]]:
    """Returns what is known of all groups, in the shape of `placement_group_table`."""
    rows = []
    for row in placement_group_table().values():
        ray_id = bytes.fromhex(row["placement_group_id"])
        if ray_id[_ID_SIZE:] == _CUT:
            rows.append({**row, "placement_group_id": shoal_id(ray_id).hex()})
    return rows
