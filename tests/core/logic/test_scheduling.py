"""Where requests go, given what the nodes have."""

from __future__ import annotations

from typing import Any

import pytest

from shoal._core.logic.scheduling import Decision, Infeasible, NodeView, Placed, Wait, choose_node
from shoal._core.schema.resources import (
    EXISTS,
    SPREAD,
    LabelMatch,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingClass,
    parse_label_selector,
)


def node(
    name: str, total: dict[str, float], free: dict[str, float] | None = None, alive: bool = True, **labels: str
) -> NodeView:
    has = dict(ResourceSet.parse(total))
    available = has if free is None else has | dict.fromkeys(free, 0) | dict(ResourceSet.parse(free))
    return NodeView(name.encode(), has, available, labels, alive)


def choose(nodes: list[NodeView], wanted: SchedulingClass, local: str = "a", turn: int = 0, **more: Any) -> Decision:
    return choose_node(wanted, nodes, local.encode(), turn, **more)


def cpus(amount: float, **more: Any) -> SchedulingClass:
    return SchedulingClass.of(ResourceSet.parse({"CPU": amount}), **more)


def why(decision: Decision) -> str:
    assert isinstance(decision, Infeasible)
    return decision.explanation


# --- the default ------------------------------------------------------------------------------------------------------


def test_local_first_until_half_used() -> None:
    b = node("b", {"CPU": 4})
    assert choose([node("a", {"CPU": 4}, {"CPU": 2}), b], cpus(1)) == Placed(b"a")
    assert choose([node("a", {"CPU": 4}, {"CPU": 1}), b], cpus(1)) == Placed(b"b")


def test_elsewhere_packed_in_order_then_balanced() -> None:
    full = node("a", {"CPU": 4}, {"CPU": 0})
    assert choose([full, node("b", {"CPU": 4}, {"CPU": 2}), node("c", {"CPU": 4})], cpus(1)) == Placed(b"b")
    assert choose([full, node("b", {"CPU": 4}, {"CPU": 1}), node("c", {"CPU": 8}, {"CPU": 3})], cpus(1)) == Placed(b"c")


def test_the_best_fifth_takes_turns() -> None:
    nodes = [node("a", {"CPU": 4}, {"CPU": 0}), *(node(f"n{number}", {"CPU": 4}) for number in range(10))]
    assert {choose(nodes, cpus(1), turn=turn) for turn in range(4)} == {Placed(b"n0"), Placed(b"n1")}


def test_gpu_nodes_are_left_to_those_who_need_them() -> None:
    nodes = [node("a", {"CPU": 4, "GPU": 1}), node("b", {"CPU": 4}, {"CPU": 1})]
    assert choose(nodes, cpus(1)) == Placed(b"b")
    assert choose(nodes, cpus(2)) == Placed(b"a")
    assert choose(nodes, SchedulingClass(ResourceSet.parse({"GPU": 1}))) == Placed(b"a")


def test_waits_for_the_local_node_where_that_could_hold_it() -> None:
    nodes = [node("a", {"CPU": 4}, {"CPU": 0}), node("b", {"CPU": 2}, {"CPU": 0}), node("c", {"CPU": 8}, {"CPU": 1})]
    assert choose(nodes, cpus(2), local="b") == Wait(b"b")
    assert choose(nodes, cpus(4), local="b") == Wait(b"a")


def test_the_dead_hold_nothing() -> None:
    nodes = [node("a", {"CPU": 4}, alive=False), node("b", {"CPU": 1})]
    assert choose(nodes, cpus(1)) == Placed(b"b")
    assert "no node has more than 1 CPU" in why(choose(nodes, cpus(4)))


def test_placement_needs_more_than_what_is_held() -> None:
    nodes = [node("a", {"CPU": 1}, {"CPU": 0})]
    assert choose(nodes, SchedulingClass(ResourceSet())) == Placed(b"a")
    assert choose(nodes, SchedulingClass(ResourceSet()), needed=ResourceSet.parse({"CPU": 1})) == Wait(b"a")


# --- spread -----------------------------------------------------------------------------------------------------------


def test_spread_goes_round() -> None:
    nodes = [node("a", {"CPU": 2}), node("b", {"CPU": 2}, {"CPU": 0}), node("c", {"CPU": 2})]
    wanted = cpus(1, strategy=SPREAD)
    assert [choose(nodes, wanted, turn=turn) for turn in range(4)] == [
        Placed(b"a"),
        Placed(b"c"),
        Placed(b"c"),
        Placed(b"a"),
    ]


# --- labels -----------------------------------------------------------------------------------------------------------

NORTH = node("a", {"CPU": 2}, region="north")
SOUTH = node("b", {"CPU": 2}, region="south")
PLAIN = node("c", {"CPU": 2})


@pytest.mark.parametrize(
    ("condition", "chosen"), [("south", b"b"), ("!north", b"b"), ("in(west, south)", b"b"), ("!in(north, south)", b"c")]
)
def test_label_selectors(condition: str, chosen: bytes) -> None:
    assert choose([NORTH, SOUTH, PLAIN], cpus(1, label_selector={"region": condition})) == Placed(chosen)


def test_fallbacks_are_tried_in_order() -> None:
    wanted = cpus(2, label_selector={"region": "west"}, fallback_strategy=[{"region": "south"}, {"region": "north"}])
    busy_south = node("b", {"CPU": 2}, {"CPU": 1}, region="south")
    assert choose([NORTH, SOUTH], wanted) == Placed(b"b")
    assert choose([NORTH, busy_south], wanted) == Placed(b"a"), "one with room now, though a later choice"
    assert choose([busy_south], wanted, local="x") == Wait(b"b")
    told = why(choose([PLAIN], wanted))
    assert "region is 'west' or region is 'south' or region is 'north'" in told
    assert "labels none" in told


def test_node_labels_hard_and_soft() -> None:
    hard = parse_label_selector({"region": "in(north, south)"})
    soft = (LabelMatch("fast", EXISTS),)
    wanted = cpus(1, strategy=NodeLabelStrategy(hard, soft))
    fast = node("d", {"CPU": 2}, region="south", fast="yes")
    assert choose([NORTH, fast, PLAIN], wanted) == Placed(b"d")
    assert choose([NORTH, PLAIN], wanted) == Placed(b"a")
    assert "no node has the labels" in why(choose([PLAIN], wanted))


# --- affinity ---------------------------------------------------------------------------------------------------------


def bound(name: str, amount: float = 1, **more: Any) -> SchedulingClass:
    return cpus(amount, strategy=NodeAffinityStrategy(name.encode().hex(), **more))


def test_bound_to_a_node() -> None:
    nodes = [node("a", {"CPU": 4}), node("b", {"CPU": 2}, {"CPU": 1})]
    assert choose(nodes, bound("b")) == Placed(b"b")
    assert choose(nodes, bound("b", 2)) == Wait(b"b")
    assert choose(nodes, bound("b", 2, soft=True)) == Wait(b"b"), "busy is no reason to go elsewhere"
    assert choose(nodes, bound("b", 2, soft=True, spill_on_unavailable=True)) == Placed(b"a")
    assert choose(nodes, bound("b", 4, soft=True)) == Placed(b"a"), "too small is"
    assert "may not wait" in why(choose(nodes, bound("b", 2, fail_on_unavailable=True)))


def test_bound_to_a_node_that_cannot() -> None:
    nodes = [node("a", {"CPU": 4}, region="north"), node("b", {"CPU": 2}, alive=False)]
    for wanted, text in (
        (bound("b"), "is dead"),
        (bound("z"), "does not exist"),
        (bound("a", 8), "it needs 8 CPU, the node has 4 CPU"),
        (SchedulingClass.of(ResourceSet(), "", bound("a").strategy, {"region": "south"}), "does not match"),
    ):
        decision = choose(nodes, wanted)
        assert text in why(decision)
        assert isinstance(decision, Infeasible)
        assert decision.bound
    assert choose(nodes, bound("z", soft=True)) == Placed(b"a")


# --- placement groups -------------------------------------------------------------------------------------------------


def test_requests_follow_their_bundle() -> None:
    group = b"g" * 16
    nodes = [
        NodeView(b"a", {}, {}),
        NodeView(b"b", {}, {}, bundles=((group, 0),)),
        NodeView(b"c", {}, {}, bundles=((group, 1), (b"h", 2))),
    ]
    for index, chosen in ((-1, Placed(b"b")), (0, Placed(b"b")), (1, Placed(b"c")), (2, Wait(b""))):
        assert choose(nodes, cpus(1, strategy=PlacementGroupStrategy(group, index))) == chosen


# --- explanations -----------------------------------------------------------------------------------------------------


def test_explanations_say_what_is_missing_and_what_exists() -> None:
    nodes = [node("a", {"CPU": 4, "node:10.0.0.1": 1}), node("b", {"CPU": 2, "special": 1})]
    told = why(choose(nodes, SchedulingClass(ResourceSet.parse({"CPU": 8, "GPU": 1}))))
    assert told == (
        "it needs 8 CPU, 1 GPU, but no node has more than 4 CPU and there is no 'GPU'; "
        "node 61 has 4 CPU; node 62 has 2 CPU, 1 special"
    )
    told = why(choose(nodes, SchedulingClass(ResourceSet.parse({"CPU": 4, "special": 1}))))
    assert "no node has all of that together" in told
    assert "the session has no node" in why(choose([], cpus(1)))
    told = why(choose([NORTH, SOUTH], cpus(4, label_selector={"region": "north"})))
    assert "no node has more than 2 CPU among those where region is 'north'; node 61 has 2 CPU" in told
    many = [node(f"n{number}", {"CPU": 1}) for number in range(7)]
    assert "and 3 more nodes" in why(choose(many, cpus(2)))
