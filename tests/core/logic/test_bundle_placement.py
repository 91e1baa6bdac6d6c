"""Where the bundles of a placement group go."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.logic.bundle_placement import STRATEGIES, Fits, FitsLater, place_bundles
from shoal._core.logic.scheduling import Infeasible, NodeView
from shoal._core.schema.resources import UNIT, ResourceSet, parse_label_selector

HARD = parse_label_selector({"region": "south"})


def nodes(*free: float, total: float = 4, **labels: str) -> list[NodeView]:
    return [
        NodeView(str(number).encode(), {"CPU": int(total * UNIT)}, {"CPU": int(amount * UNIT)}, labels)
        for number, amount in enumerate(free)
    ]


def cpus(*amounts: float) -> list[ResourceSet]:
    return [ResourceSet.parse({"CPU": amount}) for amount in amounts]


def place(bundles: list[ResourceSet], strategy: str, views: list[NodeView], **more: Any) -> Any:
    found = place_bundles(bundles, strategy, views, **more)
    return found.nodes if isinstance(found, Fits) else found


def test_pack_takes_as_few_nodes_as_it_can() -> None:
    assert place(cpus(1, 1, 1), "PACK", nodes(2, 4, 4)) == (b"1",) * 3
    assert sorted(place(cpus(3, 2, 2), "PACK", nodes(4, 3))) == [b"0", b"0", b"1"]
    assert place(cpus(1, 1), "PACK", nodes(4, 4), used=frozenset([b"1"])) == (b"1", b"1")


def test_pack_prefers_what_is_used_already() -> None:
    assert place(cpus(1), "PACK", nodes(4, 2, 4)) == (b"1",)


def test_spread_takes_as_many_nodes_as_it_can() -> None:
    assert sorted(place(cpus(1, 1, 1), "SPREAD", nodes(4, 4, 4))) == [b"0", b"1", b"2"]
    assert sorted(place(cpus(1, 1, 1), "SPREAD", nodes(4, 4))) in ([b"0", b"0", b"1"], [b"0", b"1", b"1"])
    assert place(cpus(1), "SPREAD", nodes(4, 4), used=frozenset([b"0"])) == (b"1",)


def test_strict_pack_is_one_node_or_none() -> None:
    assert place(cpus(2, 2), "STRICT_PACK", nodes(3, 4)) == (b"1", b"1")
    assert place(cpus(1, 1), "STRICT_PACK", nodes(4, 3, 2)) == (b"2", b"2"), "the tightest"
    assert place(cpus(2, 2), "STRICT_PACK", nodes(3, 3)) == FitsLater((b"0", b"0"))
    told = place(cpus(3, 3), "STRICT_PACK", nodes(4, 4))
    assert isinstance(told, Infeasible)
    assert "all bundles on one node; it needs 6 CPU, but no node has more than 4 CPU" in told.explanation


def test_strict_spread_is_a_node_for_each() -> None:
    assert sorted(place(cpus(1, 1), "STRICT_SPREAD", nodes(1, 1))) == [b"0", b"1"]
    assert place(cpus(1, 1), "STRICT_SPREAD", nodes(4, 0)) == FitsLater((b"0", b"1"))
    told = place(cpus(1, 1, 1), "STRICT_SPREAD", nodes(4, 4))
    assert isinstance(told, Infeasible)
    assert "3 different nodes" in told.explanation
    assert "the session has 2 nodes" in told.explanation
    assert place(cpus(1), "STRICT_SPREAD", nodes(4, 4), used=frozenset([b"0"])) == (b"1",)


def test_strict_spread_finds_the_one_way() -> None:
    """The small bundle fits on both nodes, the large one on one only; whoever comes first must move."""
    assert place(cpus(1, 4), "STRICT_SPREAD", nodes(4, 1)) == (b"1", b"0")
    assert place(cpus(1, 2, 3), "STRICT_SPREAD", nodes(3, 2, 1)) == (b"2", b"1", b"0")


def test_labels_of_bundles() -> None:
    both = [*nodes(4, region="north"), NodeView(b"s", {"CPU": 4 * UNIT}, {"CPU": 4 * UNIT}, {"region": "south"})]
    assert place(cpus(1, 1), "PACK", both, selectors=[HARD, ()]) == (b"s", b"s")
    assert place(cpus(4, 4), "PACK", both, selectors=[(), HARD]) == (b"0", b"s")
    told = place(cpus(1), "PACK", nodes(4), selectors=[HARD])
    assert isinstance(told, Infeasible)
    assert "bundle 0 can be reserved nowhere: no node has the labels" in told.explanation
    north = parse_label_selector({"region": "north"})
    told = place(cpus(1, 1), "STRICT_PACK", both, selectors=[HARD, north])
    assert "no node has the labels that all of them ask for" in told.explanation


def test_later_and_never() -> None:
    assert place(cpus(2), "PACK", nodes(1, 1)) == FitsLater((b"0",))
    told = place(cpus(5), "PACK", nodes(1, 1))
    assert "bundle 0 can be reserved nowhere: it needs 5 CPU, but no node has more than 4 CPU" in told.explanation
    told = place(cpus(3, 3, 3), "PACK", nodes(4, 4))
    assert "together the bundles need 9 CPU" in told.explanation
    dead = [NodeView(b"0", {"CPU": 4 * UNIT}, {}, {}, False)]
    assert "the session has no node" in place(cpus(1), "SPREAD", dead).explanation


def test_a_search_finds_what_greed_does_not() -> None:
    assert place(cpus(2, 2, 3), "SPREAD", nodes(4, 3)) == (b"0", b"0", b"1")
    assert sorted(place(cpus(3, 3, 2, 2, 2), "PACK", nodes(6, 6, total=6))) == [b"0", b"0", b"1", b"1", b"1"]


def test_many_bundles() -> None:
    views = nodes(*[4.0] * 100)
    assert len(set(place(cpus(*[1.0] * 100), "STRICT_SPREAD", views))) == 100
    assert len(set(place(cpus(*[1.0] * 400), "PACK", views))) == 100
    odd = place(cpus(*[3.0] * 101), "PACK", views)
    assert odd == FitsLater(()), "neither found nor ruled out, at this size"


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    bundles=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    free=st.lists(st.integers(0, 4), min_size=1, max_size=3),
)
def test_found_where_there_is_a_way(strategy: str, bundles: list[int], free: list[int]) -> None:
    """Against trying all: room is found if and only if there is any, and never taken twice."""

    def works(choice: tuple[int, ...], room: list[int]) -> bool:
        if strategy == "STRICT_PACK" and len(set(choice)) > 1:
            return False
        if strategy == "STRICT_SPREAD" and len(set(choice)) < len(choice):
            return False
        sums = [
            sum(size for size, there in zip(bundles, choice, strict=True) if there == at) for at in range(len(room))
        ]
        return all(used <= has for used, has in zip(sums, room, strict=True))

    choices = list(product(range(len(free)), repeat=len(bundles)))
    found = place_bundles(cpus(*bundles), strategy, nodes(*free))
    if isinstance(found, Fits):
        assert works(tuple(int(there) for there in found.nodes), free)
    elif isinstance(found, FitsLater):
        assert not any(works(choice, free) for choice in choices)
        assert works(tuple(int(there) for there in found.nodes), [4] * len(free))
    else:
        assert not any(works(choice, [4] * len(free)) for choice in choices)
