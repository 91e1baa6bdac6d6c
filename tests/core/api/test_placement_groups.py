"""Placement groups."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

import shoal
from shoal._core.schema.session import ExecutionContext
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError
from shoal.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from shoal.util.placement_group import PlacementGroup


def test_life(engine: Any) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 0, "GPU": 0.5}], strategy="SPREAD", name="mine", lifetime="detached")
    assert group.bundle_specs == [{"CPU": 1}, {"GPU": 0.5}]
    assert group.bundle_count == 2
    assert shoal.get(group.ready()) == group
    assert group.wait(1)
    assert placement_group_table(group)["strategy"] == "SPREAD"
    assert list(placement_group_table()) == [group.id.hex()]
    assert get_placement_group("mine") == group
    assert get_placement_group("mine").bundle_specs == group.bundle_specs
    remove_placement_group(group)
    assert engine.other_calls[-1] == ("remove", group.id.binary())


def test_function_and_module_of_one_name() -> None:
    import shoal.util.placement_group

    assert callable(shoal.util.placement_group)
    assert sys.modules["shoal.util.placement_group"].placement_group is placement_group


def test_travels(engine: Any) -> None:
    group = placement_group([{"CPU": 1}])
    same = pickle.loads(pickle.dumps(group))
    assert (same, same.bundle_specs, hash(same)) == (group, group.bundle_specs, hash(group))


def test_the_group_that_stands_for_none() -> None:
    assert PlacementGroup.empty().is_empty
    assert PlacementGroup.empty().bundle_specs == []


def test_current_group(engine: Any) -> None:
    assert get_current_placement_group() is None
    group = placement_group([{"CPU": 1}])
    engine.where = ExecutionContext(is_driver=False, placement_group_id=group.id.binary())
    assert get_current_placement_group() == group


def test_names_that_are_not_there(engine: Any) -> None:
    for name in ("", "unknown"):
        with pytest.raises(ValueError):
            get_placement_group(name)


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (([],), {}),
        (([{}],), {}),
        (([{"CPU": 0}],), {}),
        (([{"CPU": -1}],), {}),
        (([{"CPU": "1"}],), {}),
        (([1],), {}),
        (({"CPU": 1},), {}),
        (("CPU",), {}),
        (([{"CPU": 1}],), {"strategy": "NEARBY"}),
        (([{"CPU": 1}],), {"lifetime": "eternal"}),
        (([{"CPU": 1}],), {"bundle_label_selector": [{}, {}]}),
        (([{"CPU": 1}],), {"bundle_label_selector": [{"a": "in("}]}),
    ],
)
def test_groups_that_cannot_be(engine: Any, arguments: Any, keywords: Any) -> None:
    with pytest.raises(InvalidOptionError):
        placement_group(*arguments, **keywords)


def test_types_that_cannot_be(engine: Any) -> None:
    with pytest.raises(InvalidOptionTypeError):
        placement_group([{1: 1}])  # type: ignore[dict-item]
    with pytest.raises(InvalidOptionTypeError):
        placement_group([{"CPU": 1}], name=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionTypeError):
        remove_placement_group("group")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError):
        placement_group([{"CPU": 1}], topology_strategy="ring")
