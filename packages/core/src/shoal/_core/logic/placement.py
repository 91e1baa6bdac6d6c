"""Placement groups: resources reserved together, on all their nodes or on none.

A life: a group is created and *waits* until all its bundles fit; then each node is asked to *prepare* its bundles. When all have,
all are told to *commit*, and the group is there. If one refuses, those that had prepared get theirs back, and the group waits
again. When a node dies, the bundles on it are placed anew (RESCHEDULING). A removed group never comes back; its nodes end what
runs inside.

While a group waits, the nodes that could hold it know what it wants (WantRoom), make room, and say so; the shell then calls
`resources_changed`. Groups are tried in the order of creation; a small one may overtake a large one that does not fit yet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from shoal._core.logic.bundle_placement import FitsLater, place_bundles
from shoal._core.logic.placement_effects import (
    Commit,
    Effect,
    GroupInfeasible,
    GroupReady,
    GroupRemoved,
    GroupSpec,
    Prepare,
    Return,
    UnwantRoom,
    WantRoom,
)
from shoal._core.logic.scheduling import Infeasible, NodeView
from shoal._core.schema.resources import ResourceSet
from shoal.exceptions import InvalidOptionError, ShoalSystemError

PENDING = "PENDING"
PREPARED = "PREPARED"
CREATED = "CREATED"
REMOVED = "REMOVED"
RESCHEDULING = "RESCHEDULING"

TRANSITIONS = {
    (PENDING, "prepared"): PREPARED,
    (RESCHEDULING, "prepared"): PREPARED,
    (PREPARED, "committed"): CREATED,
    (PENDING, "node_died"): PENDING,
    (PREPARED, "node_died"): RESCHEDULING,
    (CREATED, "node_died"): RESCHEDULING,
    (RESCHEDULING, "node_died"): RESCHEDULING,
    (PENDING, "remove"): REMOVED,
    (PREPARED, "remove"): REMOVED,
    (CREATED, "remove"): REMOVED,
    (RESCHEDULING, "remove"): REMOVED,
}
"""`prepared` and `committed` stand for the last node's answer."""

REMOVED_KEPT = 1_000
"""So many removed groups are still told of."""


class Group:
    """One placement group."""

    __slots__ = (
        "attempts",
        "created",
        "history",
        "infeasible",
        "nodes",
        "ready",
        "refused_by",
        "round",
        "spec",
        "stale",
        "state",
        "unanswered",
        "wants",
    )

    def __init__(self, spec: GroupSpec, now: float) -> None:
        self.spec = spec
        self.state = PENDING
        self.nodes: list[bytes] = [b""] * len(spec.bundles)
        """Where each bundle is reserved; empty for none."""
        self.round: dict[bytes, tuple[int, ...]] = {}
        """Node -> bundles, of the attempt that is going on."""
        self.unanswered: set[bytes] = set()
        """Nodes of the round that have not answered yet: to Prepare, or to Commit."""
        self.stale: dict[bytes, int] = {}
        """Node -> so many answers are still to come to attempts that were given up."""
        self.refused_by: set[bytes] = set()
        """Nodes that had less room than was thought, until news of them come."""
        self.wants: dict[bytes, tuple[int, ...]] = {}
        """Nodes that know what the group waits for."""
        self.infeasible = ""
        self.created = now
        self.ready = 0.0
        """When it was first reserved; 0 before."""
        self.attempts = 0
        self.history: list[tuple[float, str]] = [(now, "created")]

    def missing(self) -> tuple[int, ...]:
        """Returns the bundles that are reserved nowhere."""
        return tuple(index for index, node_id in enumerate(self.nodes) if not node_id)

    def move(self, event: str, now: float) -> None:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise ShoalSystemError(f"placement group {self.spec.group_id.hex()} is {self.state}, and cannot be {event}")
        self.state = state
        self.history.append((now, f"{event}: {state}"))
        del self.history[:-100]


class PlacementGroups:
    """All placement groups of a session.

    Args:
        joinable: nodes may join the session, so that what is infeasible today may not be tomorrow.
    """

    def __init__(self, joinable: bool = False) -> None:
        self._joinable = joinable
        self.groups: OrderedDict[bytes, Group] = OrderedDict()
        self._names: dict[tuple[str, str], bytes] = {}
        self._waiting: OrderedDict[bytes, Group] = OrderedDict()
        """Groups with bundles that no node has been asked for, in the order of creation."""
        self._removed: OrderedDict[bytes, None] = OrderedDict()

    # --- events -------------------------------------------------------------------------------------------------------

    def create(self, spec: GroupSpec, nodes: Sequence[NodeView], now: float) -> list[Effect]:
        """A group is asked for.

        Args:
            spec: what.
            nodes: all nodes, as they are now.

        Raises:
            InvalidOptionError: another group of the namespace has the name.
        """
        if spec.name:
            name = (spec.namespace, spec.name)
            if name in self._names:
                fix = f"namespace {spec.namespace!r} has a placement group of this name; choose another, or remove that one"
                raise InvalidOptionError("name", spec.name, fix)
            self._names[name] = spec.group_id
        group = self.groups[spec.group_id] = Group(spec, now)
        self._waiting[spec.group_id] = group
        return self._place_waiting(nodes, now)

    def resources_changed(self, nodes: Sequence[NodeView], now: float) -> list[Effect]:
        """Something got free, or a node joined. Need not be called while `is_waiting` is False."""
        for group in self._waiting.values():
            group.refused_by.clear()
        return self._place_waiting(nodes, now)

    def prepared(self, group_id: bytes, node_id: bytes, now: float) -> list[Effect]:
        """A node has reserved what it was asked for."""
        group = self._answered(group_id, node_id)
        if group is None or group.unanswered:
            return []
        group.move("prepared", now)
        for there, indices in group.round.items():
            for index in indices:
                group.nodes[index] = there
        group.unanswered = set(group.round)
        return [Commit(there, group_id, indices) for there, indices in group.round.items()]

    def prepare_failed(self, group_id: bytes, node_id: bytes, nodes: Sequence[NodeView], now: float) -> list[Effect]:
        """A node has no room for what it was asked for: nothing of this attempt stays reserved."""
        group = self._answered(group_id, node_id)
        if group is None:
            return []
        group.refused_by.add(node_id)
        del group.round[node_id]
        effects = self._give_up_round(group)
        self._wait(group)
        return effects + self._place_waiting(nodes, now)

    def committed(self, group_id: bytes, node_id: bytes, now: float) -> list[Effect]:
        """A node lets its bundles be used."""
        group = self.groups.get(group_id)
        if group is None or group.state != PREPARED or node_id not in group.unanswered:
            return []
        group.unanswered.discard(node_id)
        if group.unanswered:
            return []
        group.round = {}
        group.move("committed", now)
        group.ready = group.ready or now
        return [GroupReady(group_id)]

    def remove(self, group_id: bytes, now: float, reason: str = "it was removed") -> list[Effect]:
        """The group is not wanted any more."""
        group = self.groups.get(group_id)
        if group is None or group.state == REMOVED:
            return []
        group.move("remove", now)
        group.round = {}
        group.unanswered.clear()
        group.wants = {}
        self._waiting.pop(group_id, None)
        if group.spec.name:
            del self._names[group.spec.namespace, group.spec.name]
        self._removed[group_id] = None
        if len(self._removed) > REMOVED_KEPT:
            del self.groups[self._removed.popitem(last=False)[0]]
        return [GroupRemoved(group_id, reason)]

    def creator_gone(self, creator: bytes, now: float) -> list[Effect]:
        """A driver or detached actor has ended: so do its groups, unless they are detached."""
        effects: list[Effect] = []
        for group in list(self.groups.values()):
            if group.spec.creator == creator and not group.spec.detached:
                effects += self.remove(group.spec.group_id, now, "the process that created it has ended")
        return effects

    def node_died(self, node_id: bytes, nodes: Sequence[NodeView], now: float) -> list[Effect]:
        """A node is gone, with the bundles on it. `nodes` are those that are left."""
        effects: list[Effect] = []
        for group in list(self.groups.values()):
            group.stale.pop(node_id, None)
            group.wants.pop(node_id, None)
            concerned = node_id in group.round or node_id in group.nodes
            if group.state == REMOVED or not concerned:
                continue
            group.nodes = [b"" if there == node_id else there for there in group.nodes]
            group.unanswered.discard(node_id)
            group.round.pop(node_id, None)
            if group.state == PREPARED:
                # The others have what they were asked for, and are told, or about to be, that it may be used.
                group.round = {}
                group.unanswered.clear()
            else:
                effects += self._give_up_round(group)
            group.move("node_died", now)
            self._wait(group)
        return effects + self._place_waiting(nodes, now)

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _place_waiting(self, nodes: Sequence[NodeView], now: float) -> list[Effect]:
        effects: list[Effect] = []
        free = {node.node_id: dict(node.available) for node in nodes}
        for group in list(self._waiting.values()):
            views = [
                msgspec.structs.replace(node, available={} if node.node_id in group.refused_by else free[node.node_id])
                for node in nodes
            ]
            effects += self._place(group, views, free, now)
        return effects

    def _place(
        self, group: Group, nodes: Sequence[NodeView], free: dict[bytes, dict[str, int]], now: float
    ) -> list[Effect]:
        spec = group.spec
        missing = group.missing()
        bundles = [spec.bundles[index] for index in missing]
        selectors = [spec.selectors[index] for index in missing] if spec.selectors else []
        group.attempts += 1
        found = place_bundles(bundles, spec.strategy, nodes, selectors, frozenset(group.nodes) - {b""})
        if isinstance(found, Infeasible):
            effects = self._want(group, {})
            if group.infeasible != found.explanation:
                group.infeasible = found.explanation
                who = f"placement group {spec.name or spec.group_id.hex()!r}"
                text = f"{who} can never be reserved: {found.explanation}"
                effects.append(GroupInfeasible(spec.group_id, text, not self._joinable))
            return effects
        group.infeasible = ""
        by_node: dict[bytes, tuple[int, ...]] = {}
        for index, node_id in zip(missing, found.nodes, strict=False):
            by_node[node_id] = (*by_node.get(node_id, ()), index)
        if isinstance(found, FitsLater):
            return self._want(group, by_node)
        return self._begin_round(group, by_node, free, now)

    def _begin_round(
        self, group: Group, by_node: dict[bytes, tuple[int, ...]], free: dict[bytes, dict[str, int]], now: float
    ) -> list[Effect]:
        """There is room: asks all nodes to prepare."""
        spec = group.spec
        del self._waiting[spec.group_id]
        group.history.append((now, f"asked {len(by_node)} nodes"))
        group.round = by_node
        group.unanswered = set(by_node)
        # Those that are asked to prepare forget by themselves that room was wanted.
        effects: list[Effect] = [UnwantRoom(there, spec.group_id) for there in group.wants if there not in by_node]
        group.wants = {}
        for node_id, indices in by_node.items():
            effects.append(Prepare(node_id, spec.group_id, {index: spec.bundles[index] for index in indices}))
            for index in indices:
                for name, amount in spec.bundles[index].items():
                    free[node_id][name] -= amount
        return effects

    def _want(self, group: Group, by_node: dict[bytes, tuple[int, ...]]) -> list[Effect]:
        """The group waits: tells the nodes that could hold it."""
        spec = group.spec
        effects: list[Effect] = [
            UnwantRoom(there, spec.group_id) for there, indices in group.wants.items() if by_node.get(there) != indices
        ]
        for node_id, indices in by_node.items():
            if group.wants.get(node_id) != indices:
                bundles = tuple(spec.bundles[index] for index in indices)
                effects.append(WantRoom(node_id, spec.group_id, spec.name or spec.group_id.hex(), bundles))
        group.wants = by_node
        return effects

    def _answered(self, group_id: bytes, node_id: bytes) -> Group | None:
        """Takes note of an answer to Prepare. Returns its group, or None for one that nobody waits for any more."""
        group = self.groups.get(group_id)
        if group is None:
            return None
        if group.stale.get(node_id):
            group.stale[node_id] -= 1
            return None
        if group.state not in (PENDING, RESCHEDULING) or node_id not in group.unanswered:
            return None
        group.unanswered.discard(node_id)
        return group

    def _give_up_round(self, group: Group) -> list[Effect]:
        """What the nodes have prepared in this attempt, or are about to, is returned."""
        for node_id in group.unanswered:
            group.stale[node_id] = group.stale.get(node_id, 0) + 1
        group_id = group.spec.group_id
        effects: list[Effect] = [Return(node_id, group_id, indices) for node_id, indices in group.round.items()]
        group.round = {}
        group.unanswered = set()
        return effects

    def _wait(self, group: Group) -> None:
        """The group has to be placed (again), in its old place in the line."""
        self._waiting[group.spec.group_id] = group
        order = {group_id: position for position, group_id in enumerate(self.groups)}
        self._waiting = OrderedDict(sorted(self._waiting.items(), key=lambda item: order[item[0]]))

    # --- looking inside -----------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether free resources could be of use to a group."""
        return bool(self._waiting)

    def named(self, namespace: str, name: str) -> Group | None:
        """Returns the living group with this name."""
        group_id = self._names.get((namespace, name))
        return self.groups[group_id] if group_id is not None else None

    def demand(self) -> list[tuple[str, tuple[ResourceSet, ...]]]:
        """Returns strategy and missing bundles of the groups that wait."""
        return [
            (group.spec.strategy, tuple(group.spec.bundles[index] for index in group.missing()))
            for group in self._waiting.values()
        ]

    def table(self) -> list[dict[str, Any]]:
        """Returns one row a group, in the shape of Ray's `placement_group_table`, with its namespace, job and lifetime besides."""
        return [self._row(group) for group in self.groups.values()]

    def _row(self, group: Group) -> dict[str, Any]:
        spec = group.spec
        latency = (group.ready - group.created) * 1000 if group.ready else 0.0
        return {
            "placement_group_id": spec.group_id.hex(),
            "name": spec.name,
            "namespace": spec.namespace,
            "creator_job_id": spec.job_id.hex(),
            "is_detached": spec.detached,
            "bundles": {index: bundle.to_floats() for index, bundle in enumerate(spec.bundles)},
            "bundles_to_node_id": {index: node_id.hex() for index, node_id in enumerate(group.nodes)},
            "strategy": spec.strategy,
            "state": group.state,
            "stats": {
                "end_to_end_creation_latency_ms": latency,
                "scheduling_latency_ms": latency,
                "scheduling_attempt": group.attempts,
                "highest_retry_delay_ms": 0.0,
                "scheduling_state": self._scheduling_state(group),
            },
        }

    def _scheduling_state(self, group: Group) -> str:
        if group.state == REMOVED:
            return "REMOVED"
        if group.infeasible:
            return "INFEASIBLE"
        if group.spec.group_id in self._waiting:
            return "NO_RESOURCES"
        return "FINISHED" if group.state == CREATED else "QUEUED"

    def story(self, group_id: bytes) -> list[str]:
        """Returns the last transitions of a group, for people."""
        group = self.groups.get(group_id)
        return [f"{now:.3f} {what}" for now, what in group.history] if group is not None else []

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for group_id, group in self.groups.items():
            waits = group_id in self._waiting
            if group.state == REMOVED:
                assert not waits and not group.round and group_id in self._removed
            elif group.state == CREATED:
                assert not waits and not group.round and not group.missing()
            elif group.state == PREPARED:
                assert not waits and group.round and group.unanswered and not group.missing()
            else:
                assert group.missing(), f"all of {group_id.hex()} is reserved, and it is {group.state}"
                assert waits != bool(group.round), "a group waits, or nodes are being asked"
                assert bool(group.round) == bool(group.unanswered)
            assert not group.wants or waits
        for (namespace, name), group_id in self._names.items():
            spec = self.groups[group_id].spec
            assert (spec.namespace, spec.name) == (namespace, name) and self.groups[group_id].state != REMOVED
        positions: Iterable[int] = [list(self.groups).index(group_id) for group_id in self._waiting]
        assert list(positions) == sorted(positions)
