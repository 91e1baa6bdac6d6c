"""The head's placement groups: feeds `logic/placement.py` with what clients ask and nodes say, and carries its effects out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shoal._core.logic.placement import CREATED, REMOVED, PlacementGroups
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
from shoal._core.logic.scheduling import NodeView
from shoal._core.schema import messages
from shoal._core.schema.ids import new_id
from shoal._core.schema.resources import ResourceSet, parse_label_selector
from shoal._core.system.task_errors import dump_error
from shoal.exceptions import InfeasibleResourcesError, TaskPlacementGroupRemoved


class GroupKeeper:
    """All placement groups of a session. Belongs to the daemon's loop.

    Args:
        send: sends a message to a client.
        to_node: sends a message to a node.
        joinable: nodes may join the session.
    """

    def __init__(self, send: Callable[[bytes, Any], None], to_node: Callable[[Any], None], joinable: bool) -> None:
        self._send = send
        self._to_node = to_node
        self._groups = PlacementGroups(joinable)
        self._nodes: dict[bytes, NodeView] = {}
        self._waiting: dict[bytes, list[tuple[bytes, int]]] = {}
        """Group -> (client, request) that want to know when it is ready."""
        self._hopeless: dict[bytes, str] = {}

    # --- clients ------------------------------------------------------------------------------------------------------------

    def create(
        self,
        creator: bytes,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        selectors: list[dict[str, str]],
        namespace: str,
    ) -> bytes:
        """A client asks for a group. Returns its id at once. Raises InvalidOptionError for a name that is taken."""
        spec = GroupSpec(
            group_id=new_id(),
            bundles=tuple(ResourceSet.parse(bundle, f"bundles[{index}]") for index, bundle in enumerate(bundles)),
            strategy=strategy,
            name=name,
            namespace=namespace,
            creator=creator,
            detached=detached,
            selectors=tuple(parse_label_selector(selector) for selector in selectors),
        )
        self._carry_out(self._groups.create(spec, self._views(), time.monotonic()))
        return spec.group_id

    def answer_when_ready(self, client: bytes, request_id: int, group_id: bytes) -> None:
        """A client waits for a group: answered with its id when it is reserved, with an error when it never will be."""
        group = self._groups.groups.get(group_id)
        if group is None or group.state == REMOVED:
            self._fail(client, request_id, TaskPlacementGroupRemoved("the placement group was removed, or never was"))
        elif group_id in self._hopeless:
            self._fail(client, request_id, InfeasibleResourcesError(self._hopeless[group_id]))
        elif group.state == CREATED:
            self._send(client, messages.Answer(request_id, group_id))
        else:
            self._waiting.setdefault(group_id, []).append((client, request_id))

    def remove(self, group_id: bytes) -> None:
        self._carry_out(self._groups.remove(group_id, time.monotonic()))

    def creator_gone(self, creator: bytes) -> None:
        self._carry_out(self._groups.creator_gone(creator, time.monotonic()))

    def rows(self) -> list[dict[str, Any]]:
        """Rows in the shape of Ray's placement_group_table."""
        return self._groups.table()

    # --- nodes ----------------------------------------------------------------------------------------------------------------

    def from_node(self, message: Any) -> bool:
        """Takes what a node says about bundles and room. Returns False for all else."""
        now = time.monotonic()
        if isinstance(message, messages.NodeChanged):
            view = NodeView(message.node_id, message.total, message.available, message.labels)
            self._nodes[message.node_id] = view
        elif isinstance(message, messages.BundlesPrepared):
            if message.ok:
                self._carry_out(self._groups.prepared(message.group_id, message.node_id, now))
            else:
                self._carry_out(self._groups.prepare_failed(message.group_id, message.node_id, self._views(), now))
        elif isinstance(message, messages.BundlesCommitted):
            self._carry_out(self._groups.committed(message.group_id, message.node_id, now))
        elif isinstance(message, messages.RoomForGroup):
            self._carry_out(self._groups.resources_changed(self._views(), now))
        else:
            return False
        return True

    def _views(self) -> list[NodeView]:
        return list(self._nodes.values())

    # --- effects ------------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Prepare):
                bundles = {index: dict(resources.items()) for index, resources in effect.bundles.items()}
                self._to_node(messages.ReserveBundles(effect.group_id, bundles))
            elif isinstance(effect, Commit):
                self._to_node(messages.CommitBundles(effect.group_id, list(effect.indices)))
            elif isinstance(effect, Return):
                self._to_node(messages.ReturnBundles(effect.group_id, list(effect.indices)))
            elif isinstance(effect, WantRoom):
                wanted = [dict(resources.items()) for resources in effect.bundles]
                self._to_node(messages.WantRoom(effect.group_id, effect.name, wanted))
            elif isinstance(effect, UnwantRoom):
                self._to_node(messages.WantRoom(effect.group_id, "", []))
            elif isinstance(effect, GroupReady):
                for client, request_id in self._waiting.pop(effect.group_id, []):
                    self._send(client, messages.Answer(request_id, effect.group_id))
            elif isinstance(effect, GroupInfeasible):
                self._infeasible(effect)
            elif isinstance(effect, GroupRemoved):
                self._to_node(messages.GroupRemoved(effect.group_id))
                self._fail_all(
                    effect.group_id, TaskPlacementGroupRemoved(f"the placement group is gone: {effect.reason}")
                )

    def _infeasible(self, effect: GroupInfeasible) -> None:
        if effect.final:
            self._hopeless[effect.group_id] = effect.explanation
            self._fail_all(effect.group_id, InfeasibleResourcesError(effect.explanation))

    def _fail_all(self, group_id: bytes, error: Exception) -> None:
        for client, request_id in self._waiting.pop(group_id, []):
            self._fail(client, request_id, error)

    def _fail(self, client: bytes, request_id: int, error: Exception) -> None:
        self._send(client, messages.Answer(request_id, None, dump_error(error)))
