"""Placement groups of an inline session: all bundles of a group are reserved on the one node together, or wait together.

All of this belongs inside of `with turns:`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal._core.process.inline.admission import Admission
from shoal._core.schema.ids import new_id
from shoal._core.schema.resources import ResourceSet, parse_label_selector, selector_matches, to_floats
from shoal.exceptions import InfeasibleResourcesError, InvalidOptionError, ShoalError, TaskPlacementGroupRemoved

PENDING = "PENDING"
CREATED = "CREATED"
REMOVED = "REMOVED"


class Group:
    """One placement group."""

    __slots__ = ("bundles", "error", "id", "name", "on_settled", "state", "strategy")

    def __init__(self, id: bytes, bundles: list[ResourceSet], strategy: str, name: str) -> None:
        self.id = id
        self.bundles = bundles
        self.strategy = strategy
        self.name = name
        self.state = PENDING
        self.error: ShoalError | None = None
        """Why it can never be reserved."""
        self.on_settled: list[Callable[[ShoalError | None], None]] = []


class Groups:
    """The placement groups of a session."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._groups: dict[bytes, Group] = {}
        admission.on_free = self.reserve_waiting

    def create(
        self, bundles: list[dict[str, float]], strategy: str, name: str, label_selectors: list[dict[str, str]]
    ) -> bytes:
        """Returns the new group's id. Raises InvalidOptionError for a name in use."""
        if name and any(group.name == name and group.state != REMOVED for group in self._groups.values()):
            raise InvalidOptionError(
                "name", name, "a living placement group has that name; remove it first, or choose another"
            )
        parsed = [ResourceSet.parse(bundle, f"bundles[{index}]") for index, bundle in enumerate(bundles)]
        group = Group(new_id(), parsed, strategy, name)
        self._groups[group.id] = group
        group.error = self._obstacle(group, label_selectors)
        self._try_to_reserve(group)
        return group.id

    def when_settled(self, group_id: bytes, callback: Callable[[ShoalError | None], None]) -> None:
        """Calls back when the group is reserved, or (with an error) never will be."""
        group = self._groups.get(group_id)
        if group is None:
            callback(TaskPlacementGroupRemoved(f"There is no placement group {group_id.hex()} in this session."))
        elif group.error is not None or group.state != PENDING:
            callback(group.error)
        else:
            group.on_settled.append(callback)

    def state_of(self, group_id: bytes) -> str:
        group = self._groups.get(group_id)
        return group.state if group is not None else REMOVED

    def error_of(self, group_id: bytes) -> ShoalError | None:
        """Why nothing can run in the group; None where something can, or will."""
        group = self._groups.get(group_id)
        if group is None or group.state == REMOVED:
            return TaskPlacementGroupRemoved()
        return group.error

    def remove(self, group_id: bytes) -> bool:
        """The group is no more; whoever ran in it must be gone. Returns False where it was not there."""
        group = self._groups.get(group_id)
        if group is None or group.state == REMOVED:
            return False
        if group.state == CREATED:
            self._admission.ledger.return_bundles(group_id, range(len(group.bundles)))
        group.state = REMOVED
        group.error = TaskPlacementGroupRemoved(f"Placement group {group_id.hex()} was removed.")
        self._settle(group)
        self._admission.serve()
        return True

    def reserve_waiting(self) -> None:
        """Something is free that was not: reserves what can be reserved."""
        for group in self._groups.values():
            if group.state == PENDING and group.error is None:
                self._try_to_reserve(group)

    def rows(self) -> list[dict[str, Any]]:
        """Rows in the shape of `placement_group_table`."""
        node_id = self._admission.node_id.hex()
        return [
            {
                "placement_group_id": group.id.hex(),
                "name": group.name,
                "bundles": {index: to_floats(dict(bundle)) for index, bundle in enumerate(group.bundles)},
                "bundles_to_node_id": dict.fromkeys(
                    range(len(group.bundles)), node_id if group.state == CREATED else ""
                ),
                "strategy": group.strategy,
                "state": group.state,
                "stats": {
                    "end_to_end_creation_latency_ms": 0.0,
                    "scheduling_latency_ms": 0.0,
                    "scheduling_attempt": 1,
                    "highest_retry_delay_ms": 0.0,
                    "scheduling_state": "FINISHED" if group.state == CREATED else "QUEUED",
                },
            }
            for group in self._groups.values()
        ]

    def describe_waiting(self) -> list[str]:
        """One line for each group that is not reserved."""
        return [
            f"placement group {group.id.hex()[:8]} waits for {', '.join(str(bundle) for bundle in group.bundles)}"
            for group in self._groups.values()
            if group.state == PENDING
        ]

    def _obstacle(self, group: Group, label_selectors: list[dict[str, str]]) -> ShoalError | None:
        empty = self._admission.ledger.node.copy()
        empty.available = dict(empty.total)
        empty.gpus = dict(empty.total_gpus)
        why = ""
        if group.strategy == "STRICT_SPREAD" and len(group.bundles) > 1:
            why = "strategy STRICT_SPREAD needs a node for each bundle, and this session has one node"
        elif not empty.fits_all(bundle.amounts for bundle in group.bundles):
            why = "the bundles together need more than the session has"
        for selector in label_selectors:
            if not selector_matches(parse_label_selector(selector), self._admission.labels):
                why = f"no node has the labels {selector}"
        if not why:
            return None
        wanted = ResourceSet()
        for bundle in group.bundles:
            wanted = wanted.plus(bundle)
        return InfeasibleResourcesError(
            f"Placement group {group.name or group.id.hex()[:8]} can never be reserved: {why}.",
            requested=wanted.to_floats(),
            existing=self._admission.totals(),
        )

    def _try_to_reserve(self, group: Group) -> None:
        if group.error is not None:
            return
        ledger = self._admission.ledger
        bundles = dict(enumerate(group.bundles))
        if ledger.prepare(group.id, bundles):
            ledger.commit(group.id, bundles)
            group.state = CREATED
            self._settle(group)
            self._admission.serve()

    def _settle(self, group: Group) -> None:
        callbacks, group.on_settled = group.on_settled, []
        for callback in callbacks:
            callback(group.error)
