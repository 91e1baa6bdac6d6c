"""Placement groups of Ray."""

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


def ray_group(group_id: bytes) -> PlacementGroup:
    """Returns Ray's group of an id of shoal."""
    return PlacementGroup(ray.PlacementGroupID(group_id))


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
    group_id: bytes = group.id.binary()
    return group_id


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
    return list(placement_group_table().values())
