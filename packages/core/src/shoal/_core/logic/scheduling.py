"""Which node a request goes to: pure functions of a snapshot of the nodes.

A request is *placed* on a node that has room for it now, or *waits* for a node that could hold it if it were free, or is
*infeasible*: no node could, and the explanation says what is missing and what exists.

Where several nodes have room, the default is hybrid: requests are packed, onto the local node first, until a node is half
used; from there on the least used node comes first. SPREAD goes round. Nodes with GPUs are left to those that need them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shoal._core.schema.resources import (
    CPU,
    GPU,
    LabelSelector,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingClass,
    SpreadStrategy,
    format_amount,
    format_amounts,
    format_selector,
    selector_matches,
)

PACKED = 500
"""Thousandths of a node's use up to which it counts as unused."""
TOP_SHARE = 5
"""Among the best nodes, one in this many takes turns, so that nodes with the same view do not all choose the same one."""
NODES_NAMED = 4


class NodeView(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one node. Amounts in ten-thousandths."""

    node_id: bytes
    total: dict[str, int]
    available: dict[str, int]
    labels: dict[str, str] = {}
    alive: bool = True
    bundles: tuple[tuple[bytes, int], ...] = ()
    """(placement group id, bundle index) of what is reserved there."""


class Placed(msgspec.Struct, frozen=True):
    """There is room on this node."""

    node_id: bytes


class Wait(msgspec.Struct, frozen=True):
    """There is none now; this node could hold it (empty: the placement group is not reserved yet)."""

    node_id: bytes


class Infeasible(msgspec.Struct, frozen=True):
    """No node could ever hold it."""

    explanation: str
    bound: bool = False
    """It is the node that it must go to which is dead, unknown or too small."""


Decision = Placed | Wait | Infeasible


def choose_node(
    wanted: SchedulingClass,
    nodes: Sequence[NodeView],
    local_node: bytes,
    turn: int = 0,
    needed: ResourceSet | None = None,
) -> Decision:
    """Returns where a request goes.

    Args:
        wanted: what is asked for.
        nodes: all nodes, in an order that stays.
        local_node: id of the node that asks.
        turn: a counter; differs from call to call so that nodes take turns.
        needed: what must be free at the moment of placement, where that is more than `wanted.resources`.
    """
    if needed is None:
        needed = wanted.resources
    alive = [node for node in nodes if node.alive]
    strategy = wanted.strategy
    if isinstance(strategy, NodeAffinityStrategy):
        return _by_affinity(wanted, strategy, alive, nodes, local_node, turn, needed)
    if isinstance(strategy, PlacementGroupStrategy):
        return _in_group(wanted, strategy, alive)
    return _by_policy(wanted, alive, local_node, turn, needed)


# --- strategies -------------------------------------------------------------------------------------------------------


def _by_policy(
    wanted: SchedulingClass, alive: Sequence[NodeView], local_node: bytes, turn: int, needed: ResourceSet
) -> Decision:
    choices = _selectors(wanted)
    for selector in choices:
        matching = [node for node in alive if selector_matches(selector, node.labels)]
        with_room = [node for node in matching if needed.fits_in(node.available)]
        if with_room:
            if isinstance(wanted.strategy, SpreadStrategy):
                return Placed(_next_in_turn(alive, with_room, turn).node_id)
            return Placed(_pack_then_balance(with_room, local_node, turn, needed).node_id)
    for selector in choices:
        could = [node for node in alive if selector_matches(selector, node.labels) and needed.fits_in(node.total)]
        if could:
            here = [node for node in could if node.node_id == local_node]
            return Wait((here or could)[0].node_id)
    return Infeasible(explain_infeasible(needed, alive, choices))


def _by_affinity(
    wanted: SchedulingClass,
    strategy: NodeAffinityStrategy,
    alive: Sequence[NodeView],
    nodes: Sequence[NodeView],
    local_node: bytes,
    turn: int,
    needed: ResourceSet,
) -> Decision:
    node = next((node for node in alive if node.node_id.hex() == strategy.node_id), None)
    obstacle = _obstacle(wanted, strategy, node, nodes, needed)
    if obstacle:
        if strategy.soft:
            return _by_policy(wanted, alive, local_node, turn, needed)
        return Infeasible(obstacle, bound=True)
    assert node is not None, "a node that is not there is an obstacle"
    if needed.fits_in(node.available):
        return Placed(node.node_id)
    if strategy.fail_on_unavailable:
        free = _part(node.available, needed)
        return Infeasible(
            f"it must run on node {strategy.node_id} and may not wait: it needs {needed}, and {free} is free there",
            True,
        )
    if strategy.soft and strategy.spill_on_unavailable:
        elsewhere = _by_policy(wanted, alive, local_node, turn, needed)
        if isinstance(elsewhere, Placed):
            return elsewhere
    return Wait(node.node_id)


def _obstacle(
    wanted: SchedulingClass,
    strategy: NodeAffinityStrategy,
    node: NodeView | None,
    nodes: Sequence[NodeView],
    needed: ResourceSet,
) -> str:
    """Says why the node that a request is bound to can never take it; '' where it can."""
    if node is None:
        known = any(other.node_id.hex() == strategy.node_id for other in nodes)
        state = "is dead" if known else "does not exist in this session"
        return f"it must run on node {strategy.node_id}, which {state}"
    if not needed.fits_in(node.total):
        has = _part(node.total, needed)
        return f"it must run on node {strategy.node_id}, which can never hold it: it needs {needed}, the node has {has}"
    if not selector_matches(wanted.label_selector, node.labels):
        selector = format_selector(wanted.label_selector)
        return f"it must run on node {strategy.node_id}, but its label_selector ({selector}) does not match that node"
    return ""


def _in_group(wanted: SchedulingClass, strategy: PlacementGroupStrategy, alive: Sequence[NodeView]) -> Decision:
    """Whether the bundle has room is known to its node only, so the request goes there and waits there."""
    for node in alive:
        for group_id, index in node.bundles:
            if group_id == strategy.group_id and strategy.bundle_index in (-1, index):
                return Placed(node.node_id)
    return Wait(b"")


def _selectors(wanted: SchedulingClass) -> list[LabelSelector]:
    """What labels may be asked for, best first."""
    choices: list[LabelSelector] = []
    for selector in (wanted.label_selector, *wanted.fallbacks):
        if isinstance(wanted.strategy, NodeLabelStrategy):
            selector += wanted.strategy.hard
            if wanted.strategy.soft:
                choices.append(selector + wanted.strategy.soft)
        choices.append(selector)
    return choices


# --- policies ---------------------------------------------------------------------------------------------------------


def _next_in_turn(nodes: Sequence[NodeView], with_room: Sequence[NodeView], turn: int) -> NodeView:
    """Goes round over all nodes, so that one without room does not make its neighbour serve twice."""
    ids = {node.node_id for node in with_room}
    count = len(nodes)
    return next(node for node in (nodes[(turn + step) % count] for step in range(count)) if node.node_id in ids)


def _pack_then_balance(with_room: Sequence[NodeView], local_node: bytes, turn: int, needed: ResourceSet) -> NodeView:
    if GPU not in needed:
        with_room = [node for node in with_room if not node.total.get(GPU)] or with_room
    uses = {node.node_id: _use(node, needed) for node in with_room}
    least = min(uses.values())
    if uses.get(local_node) == least:
        return next(node for node in with_room if node.node_id == local_node)
    ranked = sorted(with_room, key=lambda node: uses[node.node_id])
    best = ranked[: max(1, len(ranked) // TOP_SHARE)]
    return best[turn % len(best)]


def _use(node: NodeView, needed: ResourceSet) -> int:
    """How much of a node is used, by its scarcest resource, in thousandths; 0 up to PACKED."""
    most = 0
    for name in (CPU, *needed):
        total = node.total.get(name, 0)
        if total:
            most = max(most, (total - node.available.get(name, 0)) * 1000 // total)
    return most if most > PACKED else 0


# --- explanations -----------------------------------------------------------------------------------------------------


def explain_infeasible(needed: ResourceSet, nodes: Sequence[NodeView], choices: Sequence[LabelSelector] = ((),)) -> str:
    """Returns why no node could ever hold this: what is missing, and what exists.

    Args:
        needed: what was asked for.
        nodes: the nodes that are alive.
        choices: labels that were asked for; one choice is enough.
    """
    if not nodes:
        return f"it needs {needed}, and the session has no node"
    matching = [node for node in nodes if any(selector_matches(choice, node.labels) for choice in choices)]
    wish = " or ".join(format_selector(choice) for choice in choices if choice)
    if not matching:
        return f"no node has the labels that it asks for ({wish}); {_inventory(nodes, labels=True)}"
    among = f" among those where {wish}" if wish else ""
    missing = []
    for name, amount in needed.items():
        most = max(node.total.get(name, 0) for node in matching)
        if most == 0:
            missing.append(f"there is no {name!r}")
        elif most < amount:
            missing.append(f"no node has more than {format_amount(name, most)}")
    if not missing:
        missing.append("no node has all of that together")
    return f"it needs {needed}, but {' and '.join(missing)}{among}; {_inventory(matching)}"


def _inventory(nodes: Sequence[NodeView], labels: bool = False) -> str:
    told = []
    for node in nodes[:NODES_NAMED]:
        has = f"labels {node.labels or 'none'}" if labels else format_amounts(_told(node.total))
        told.append(f"node {node.node_id.hex()[:8]} has {has}")
    if len(nodes) > NODES_NAMED:
        told.append(f"and {len(nodes) - NODES_NAMED} more nodes")
    return "; ".join(told)


def _told(total: dict[str, int]) -> dict[str, int]:
    """Leaves out what is on every node, and says nothing."""
    return {name: amount for name, amount in total.items() if not name.startswith("node:")}


def _part(amounts: dict[str, int], needed: ResourceSet) -> str:
    return format_amounts({name: amounts.get(name, 0) for name in needed})
