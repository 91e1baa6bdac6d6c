"""Resources that a replica has reserved together with others: a placement group of its own, which is gone when it is."""

from __future__ import annotations

from typing import Any

from shoal.serve.config import DeploymentConfig
from shoal.util.placement_group import (
    PlacementGroup,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy


class ReplicaPlacement:
    """Those of all replicas.

    Args:
        prefix: names of replicas' actors begin with it, and those of their groups.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._groups: dict[str, PlacementGroup] = {}

    async def reserved(self, replica_id: str, config: DeploymentConfig) -> dict[str, Any]:
        """Reserves what a replica needs. Returns the options of its actor that place it there: none where it needs no group.

        Raises:
            ShoalError: it can never be reserved, or was released meanwhile.
        """
        if config.placement_group_bundles is None:
            return {}
        name = f"{self._prefix}{replica_id}"
        group = placement_group(
            config.placement_group_bundles, config.placement_group_strategy, name=name, lifetime="detached"
        )
        self._groups[replica_id] = group
        await group.ready()
        strategy = PlacementGroupSchedulingStrategy(group, 0, placement_group_capture_child_tasks=True)
        return {"scheduling_strategy": strategy}

    def release(self, replica_id: str) -> None:
        """A replica is gone."""
        group = self._groups.pop(replica_id, None)
        if group is not None:
            remove_placement_group(group)

    def take_over(self, replica_ids: frozenset[str]) -> None:
        """These are there; groups of others, whom the controller before this one had asked them for, are not needed."""
        for row in placement_group_table().values():
            if not row["name"].startswith(self._prefix) or row["state"] == "REMOVED":
                continue
            replica_id = row["name"].removeprefix(self._prefix)
            self._groups[replica_id] = get_placement_group(row["name"])
            if replica_id not in replica_ids:
                self.release(replica_id)
