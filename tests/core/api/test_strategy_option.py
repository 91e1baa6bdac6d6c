"""Scheduling strategies: how they are written, and what tasks inherit."""

from __future__ import annotations

from typing import Any

import pytest

from shoal._core.api.ids import PlacementGroupID
from shoal._core.api.strategy_option import parse_strategy
from shoal._core.schema.resources import DEFAULT, LabelMatch, NodeLabelStrategy, PlacementGroupStrategy, ResourceSet
from shoal._core.schema.session import ExecutionContext
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError
from shoal.util.placement_group import PlacementGroup
from shoal.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

GROUP = PlacementGroup(PlacementGroupID(b"g" * 16), [{"CPU": 1}, {"CPU": 4, "GPU": 1}])
OUTSIDE = ExecutionContext()
CAPTURED = ExecutionContext(is_driver=False, placement_group_id=b"p" * 16, capture_child_tasks=True)


def group_strategy(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(*args, **kwargs)}


def test_nothing_asked_for_inherits_a_captured_group() -> None:
    option = parse_strategy({})
    assert option.resolve(OUTSIDE) == DEFAULT
    assert option.resolve(CAPTURED) == PlacementGroupStrategy(b"p" * 16, -1, True)


@pytest.mark.parametrize("given", [{"scheduling_strategy": "DEFAULT"}, group_strategy(None), {"placement_group": None}])
def test_asking_for_none_opts_out(given: dict[str, Any]) -> None:
    option = parse_strategy(given)
    assert not option.from_context
    assert option.fixed == DEFAULT


def test_a_group_of_ones_own() -> None:
    option = parse_strategy(group_strategy(GROUP, 1))
    assert option.resolve(OUTSIDE) == PlacementGroupStrategy(b"g" * 16, 1, False)
    assert option.resolve(CAPTURED) == PlacementGroupStrategy(b"g" * 16, 1, True)
    assert not parse_strategy(group_strategy(GROUP, 1, placement_group_capture_child_tasks=False)).from_context


def test_the_older_spelling() -> None:
    option = parse_strategy({"placement_group": GROUP, "placement_group_bundle_index": 1})
    assert option.fixed == PlacementGroupStrategy(b"g" * 16, 1, False)
    assert parse_strategy({"placement_group": "default"}).from_context


def test_both_spellings_at_once() -> None:
    with pytest.raises(InvalidOptionError):
        parse_strategy({"placement_group": GROUP, "scheduling_strategy": "SPREAD"})


@pytest.mark.parametrize(("index", "fits"), [(-1, True), (0, False), (1, True)])
def test_requests_have_to_fit(index: int, fits: bool) -> None:
    option = parse_strategy(group_strategy(GROUP, index))
    request = ResourceSet.parse({"CPU": 2, "accelerator_type:T4": 0.001})
    if fits:
        option.check_fits(request, "f")
    else:
        with pytest.raises(InvalidOptionError, match=r"f asks for 2 CPU"):
            option.check_fits(request, "f")


@pytest.mark.parametrize("index", [2, 7])
def test_bundles_that_are_not_there(index: int) -> None:
    with pytest.raises(InvalidOptionError, match="the group has 2 bundles"):
        parse_strategy(group_strategy(GROUP, index)).check_fits(ResourceSet.parse({}), "f")


def test_bundle_numbers_are_checked_at_once() -> None:
    with pytest.raises(InvalidOptionError):
        parse_strategy(group_strategy(GROUP, -2))


def test_labels() -> None:
    strategy = NodeLabelSchedulingStrategy(
        {"a": In("y", "x"), "b": NotIn("z"), "c": Exists()}, soft={"d": DoesNotExist()}
    )
    assert parse_strategy({"scheduling_strategy": strategy}).fixed == NodeLabelStrategy(
        (LabelMatch("a", "in", ("x", "y")), LabelMatch("b", "!in", ("z",)), LabelMatch("c", "exists")),
        (LabelMatch("d", "!exists"),),
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: NodeAffinitySchedulingStrategy("not hex", soft=False),
        lambda: NodeAffinitySchedulingStrategy("ab" * 16, soft=True, _fail_on_unavailable=True),
        lambda: NodeAffinitySchedulingStrategy("ab" * 16, soft=False, _spill_on_unavailable=True),
        lambda: NodeLabelSchedulingStrategy({}),
        lambda: NodeLabelSchedulingStrategy({"a": 1}),  # type: ignore[dict-item]
        lambda: In(),
        lambda: In(1),  # type: ignore[arg-type]
    ],
)
def test_strategies_that_cannot_be(make: Any) -> None:
    with pytest.raises(InvalidOptionError):
        make()


def test_a_strategy_needs_a_group() -> None:
    with pytest.raises(InvalidOptionTypeError):
        PlacementGroupSchedulingStrategy(1)  # type: ignore[arg-type]
