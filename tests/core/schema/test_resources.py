"""Resources: exact amounts, parsing with errors that help, selectors, and classes that compare."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.schema.resources import (
    DEFAULT,
    DOES_NOT_EXIST,
    EXISTS,
    HEAD_NODE,
    SPREAD,
    UNIT,
    LabelMatch,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingClass,
    SchedulingStrategy,
    accelerator_resource,
    format_amount,
    format_amounts,
    format_selector,
    is_node_mark,
    node_resource,
    parse_amount,
    parse_gpu_amount,
    parse_label_selector,
    parse_labels,
    selector_matches,
    to_floats,
)
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, ShoalError

amounts = st.dictionaries(st.sampled_from(["CPU", "memory", "special", "node:1.2.3.4"]), st.integers(0, 10**9))


# --- amounts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "units"),
    [
        (0, 0),
        (1, 10_000),
        (0.5, 5_000),
        (0.29, 2_900),
        (1 / 3, 3_333),
        (0.0001, 1),
        (True, 10_000),
        (2**40, 2**40 * UNIT),
    ],
)
def test_amounts(value: float, units: int) -> None:
    assert parse_amount("num_cpus", value) == units


def test_six_sixths_fit_in_one() -> None:
    assert 6 * parse_amount("num_cpus", 1 / 6) <= UNIT


@pytest.mark.parametrize(
    "value", [-1, -0.5, -1e-9, float("nan"), float("inf"), -float("inf"), 0.00009, 1e-300, 1e30, 10**30]
)
def test_amounts_that_cannot_be(value: float) -> None:
    with pytest.raises(InvalidOptionError, match="num_cpus") as raised:
        parse_amount("num_cpus", value)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, ShoalError)


@pytest.mark.parametrize("value", ["1", None, [1], 1j])
def test_amounts_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(InvalidOptionTypeError, match="num_cpus"):
        parse_amount("num_cpus", value)


def test_numpy_numbers_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert parse_amount("num_cpus", numpy.float32(0.5)) == 5_000
    assert parse_amount("num_cpus", numpy.int64(2)) == 20_000


@pytest.mark.parametrize("value", [0, 0.25, 1, 2])
def test_gpus(value: float) -> None:
    assert parse_gpu_amount("num_gpus", value) == int(value * UNIT)


def test_gpus_above_one_are_whole() -> None:
    with pytest.raises(InvalidOptionError, match="whole number"):
        parse_gpu_amount("num_gpus", 1.5)


def test_names_that_mark_nodes() -> None:
    assert is_node_mark(HEAD_NODE)
    assert is_node_mark(node_resource("10.0.0.1"))
    assert is_node_mark(accelerator_resource("A100"))
    assert not is_node_mark("CPU")


def test_formatting() -> None:
    assert format_amount("CPU", 20_000) == "2 CPU"
    assert format_amount("GPU", 2_500) == "0.25 GPU"
    assert format_amount("memory", 3 * 2**30 * UNIT) == "3.0 GiB memory"
    assert format_amount("memory", 512 * UNIT) == "512 B memory"
    assert format_amounts({}) == "nothing"
    assert str(ResourceSet.parse({"GPU": 0.5, "CPU": 1})) == "1 CPU, 0.5 GPU"


# --- sets -------------------------------------------------------------------------------------------------------------


def test_a_set_reads_like_a_dict() -> None:
    found = ResourceSet.parse({"GPU": 0.5, "CPU": 1, "nothing": 0})
    assert dict(found) == {"CPU": 10_000, "GPU": 5_000}
    assert found["CPU"] == 10_000
    assert found.get("special") == 0
    assert "GPU" in found
    assert "nothing" not in found
    assert list(found) == ["CPU", "GPU"]
    assert len(found) == 2
    assert not found.is_empty
    assert ResourceSet().is_empty
    assert found.to_floats() == to_floats(dict(found)) == {"CPU": 1.0, "GPU": 0.5}
    with pytest.raises(KeyError):
        found["special"]


@pytest.mark.parametrize("given", ["CPU", 1, None, [("CPU", 1)]])
def test_sets_that_are_no_mappings(given: Any) -> None:
    with pytest.raises(InvalidOptionTypeError, match="resources"):
        ResourceSet.parse(given)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"special": -1}, "special"),
        ({"GPU": 1.5}, "GPU"),
        ({"": 1}, "resources"),
        ({1: 1}, "resources"),
        ({"x": "1"}, "x"),
    ],
)
def test_sets_that_cannot_be(given: Any, names: str) -> None:
    with pytest.raises((InvalidOptionError, InvalidOptionTypeError), match=names):
        ResourceSet.parse(given)


@given(amounts, amounts)
def test_sums_are_exact(one: dict[str, int], other: dict[str, int]) -> None:
    a, b = ResourceSet.of_units(one), ResourceSet.of_units(other)
    both = a.plus(b)
    assert both == b.plus(a)
    assert hash(both) == hash(b.plus(a))
    assert both.minus(b) == a
    assert a.fits_in(dict(both))
    assert a.fits_in(dict(a))
    larger = a.largest_of_each(b)
    assert a.fits_in(dict(larger)) and b.fits_in(dict(larger))
    assert all(larger[name] in (a.get(name), b.get(name)) for name in larger)
    assert ResourceSet.of_units(dict(a)) == a


def test_nothing_is_taken_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="cannot take 2 CPU from 1 CPU"):
        ResourceSet.parse({"CPU": 1}).minus(ResourceSet.parse({"CPU": 2}))


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "matching", "others"),
    [
        ("north", ["north"], ["south", None]),
        ("!north", ["south", None], ["north"]),
        ("in(north, south)", ["north", "south"], ["west", None]),
        ("!in(north,south)", ["west", None], ["north", "south"]),
        ("", [""], ["north", None]),
    ],
)
def test_conditions(condition: str, matching: list[str | None], others: list[str | None]) -> None:
    selector = parse_label_selector({"region": condition})

    def matches(value: str | None) -> bool:
        return selector_matches(selector, {} if value is None else {"region": value})

    assert all(matches(value) for value in matching)
    assert not any(matches(value) for value in others)


def test_existence() -> None:
    assert LabelMatch("gpu", EXISTS).matches({"gpu": "x"})
    assert not LabelMatch("gpu", EXISTS).matches({})
    assert LabelMatch("gpu", DOES_NOT_EXIST).matches({})
    assert str(LabelMatch("gpu", EXISTS)) == "gpu is set"
    assert str(LabelMatch("gpu", DOES_NOT_EXIST)) == "gpu is not set"


def test_selectors_say_what_they_want() -> None:
    selector = parse_label_selector({"ray.io/region": "in(b, a)", "kind": "!slow"})
    assert format_selector(selector) == "kind is not 'slow' and ray.io/region is in (a, b)"


def test_the_order_of_conditions_does_not_matter() -> None:
    assert parse_label_selector({"a": "in(x, y)", "b": "z"}) == parse_label_selector({"b": "z", "a": "in(y,x,y)"})


@pytest.mark.parametrize(
    "selector",
    [
        {"a": "in()"},
        {"a": "!"},
        {"a": "in(b,)"},
        {"a": "in(b"},
        {"a": "b c"},
        {"a": "!!b"},
        {"a": "!in(b c)"},
        {"a": "x" * 64},
        {"a": "-b"},
        {"a": "ü"},
        {"": "b"},
        {"a b": "c"},
        {"/b": "c"},
        {"a..b/c": "d"},
    ],
)
def test_selectors_that_cannot_be(selector: dict[str, str]) -> None:
    with pytest.raises(InvalidOptionError, match="label_selector"):
        parse_label_selector(selector)


@pytest.mark.parametrize("selector", ["a", {"a": 1}, {1: "a"}, None])
def test_selectors_of_the_wrong_type(selector: Any) -> None:
    with pytest.raises(InvalidOptionTypeError, match="label_selector"):
        parse_label_selector(selector)


def test_labels_of_nodes() -> None:
    assert parse_labels({"region": "north", "ray.io/empty": ""}) == {"region": "north", "ray.io/empty": ""}
    for wrong in ({"region": "in(a)"}, {"": "a"}):
        with pytest.raises(InvalidOptionError, match="labels"):
            parse_labels(wrong)
    for wrong_type in ({"region": 1}, "region"):
        with pytest.raises(InvalidOptionTypeError, match="labels"):
            parse_labels(wrong_type)  # type: ignore[arg-type]


# --- classes ----------------------------------------------------------------------------------------------------------

STRATEGIES: list[SchedulingStrategy] = [
    DEFAULT,
    SPREAD,
    NodeAffinityStrategy("ab" * 16, soft=True),
    NodeLabelStrategy(parse_label_selector({"a": "b"}), (LabelMatch("c", EXISTS),)),
    PlacementGroupStrategy(b"g" * 16, 2, capture_children=True),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_classes_travel(strategy: Any) -> None:
    sent = SchedulingClass.of(ResourceSet.parse({"CPU": 1}), "env", strategy, {"a": "in(b, c)"}, [{"d": "!e"}])
    received = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=SchedulingClass)
    assert received == sent
    assert hash(received) == hash(sent)
    assert pickle.loads(pickle.dumps(sent)) == sent
    assert received.strategy == strategy


def test_only_equal_requests_share() -> None:
    one = ResourceSet.parse({"CPU": 1})
    classes = [SchedulingClass(one, strategy=strategy) for strategy in STRATEGIES]
    classes += [
        SchedulingClass(ResourceSet.parse({"CPU": 2})),
        SchedulingClass(one, "env"),
        SchedulingClass.of(one, label_selector={"a": "b"}),
        SchedulingClass.of(one, fallback_strategy=[{"a": "b"}]),
        SchedulingClass(one, strategy=PlacementGroupStrategy(b"g" * 16, 1)),
        SchedulingClass(one, strategy=PlacementGroupStrategy(b"h" * 16, 2)),
    ]
    assert len(set(classes)) == len(classes)


def test_classes_know_their_group() -> None:
    inside = SchedulingClass(ResourceSet(), strategy=PlacementGroupStrategy(b"g" * 16, 2, True))
    assert (inside.placement_group_id, inside.bundle_index, inside.capture_children) == (b"g" * 16, 2, True)
    outside = SchedulingClass(ResourceSet())
    assert (outside.placement_group_id, outside.bundle_index, outside.capture_children) == (b"", -1, False)
