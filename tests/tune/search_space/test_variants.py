"""From a space to configurations."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune._internal.logic.parameter_tree import matched, parameters, varied
from shoal.tune._internal.logic.variants import count_of, variants
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search_space import choice, grid_search, loguniform, randint, sample_from, uniform


def all_of(space: dict[str, Any], samples: int = 1, seed: int = 0, **options: Any) -> list[dict[str, Any]]:
    return list(variants(space, samples, seed, **options))


def test_grids_times_samples() -> None:
    space = {"a": grid_search([1, 2]), "b": {"c": {"grid_search": ["x", "y", "z"]}}, "d": uniform(0, 1), "e": "kept"}
    configs = all_of(space, 2)
    assert len(configs) == count_of(space, 2) == 12
    assert [(config["a"], config["b"]["c"]) for config in configs[:6]] == [(a, c) for a in (1, 2) for c in "xyz"]
    assert len({config["d"] for config in configs}) == 12
    assert all(config["e"] == "kept" for config in configs)
    assert count_of(space, -1) is None


def test_the_same_seed_gives_the_same_trials_from_any_of_them_on() -> None:
    space = {"g": grid_search([1, 2, 3]), "x": uniform(0, 1), "l": [randint(0, 9), {"y": loguniform(1, 9)}]}
    configs = all_of(space, 4, seed=7)
    assert configs == all_of(space, 4, seed=7)
    assert configs != all_of(space, 4, seed=8)
    for skip in (0, 1, 5, 11, 12):
        assert all_of(space, 4, seed=7, skip=skip) == configs[skip:]


def test_a_constant_grid_has_the_same_draws_for_each_combination() -> None:
    configs = all_of({"g": grid_search([1, 2]), "x": uniform(0, 1)}, 3, constant_grid=True)
    assert [config["x"] for config in configs[::2]] == [config["x"] for config in configs[1::2]]
    assert len({config["x"] for config in configs}) == 3


def test_functions_see_other_parameters_in_any_order_and_any_spelling() -> None:
    space = {
        "first": sample_from(lambda spec: spec.config.second + 1),
        "second": sample_from(lambda config: config["third"]["inner"][0] * 2),
        "third": {"inner": [sample_from(lambda spec: spec["config"]["x"]), 5]},
        "x": uniform(0, 1),
        "attribute": sample_from(lambda config: config.x),
        "all": sample_from(lambda config: sorted(key for key in config if key != "all")),
        "copied": sample_from(lambda config: {**config.third}["inner"][1]),
        "missing": sample_from(lambda config: config.get("nothing", "default")),
        "alone": sample_from(lambda: 4),
        "pair": (1, sample_from(lambda config: config.x)),
    }
    [config] = all_of(space)
    x = config["x"]
    assert config["first"] == 2 * x + 1
    assert config["second"] == 2 * x
    assert config["third"] == {"inner": [x, 5]}
    assert config["attribute"] == x
    assert config["copied"] == 5
    assert config["missing"] == "default"
    assert config["alone"] == 4
    assert config["pair"] == (1, x)
    assert type(config["third"]) is dict
    assert type(config["third"]["inner"]) is list


def test_functions_may_return_parts_of_the_configuration_or_domains() -> None:
    space = {
        "a": {"b": 1},
        "c": sample_from(lambda config: config["a"]),
        "d": sample_from(lambda config: uniform(5, 6)),
    }
    [config] = all_of(space)
    assert config["c"] == {"b": 1}
    assert type(config["c"]) is dict
    assert 5 <= config["d"] <= 6


def test_functions_that_wait_for_each_other_are_an_error() -> None:
    space = {"a": sample_from(lambda c: c.b), "b": sample_from(lambda c: c["a"]), "x": uniform(0, 1)}
    with pytest.raises(InvalidArgumentError, match="wait for each other: 'a' reads 'b'; 'b' reads 'a'"):
        all_of(space)


def test_a_function_that_reads_what_is_not_there_is_told_what_is() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"reads 'alhpa', which is no parameter. Did you mean 'alpha'"
    ) as error:
        all_of({"alpha": 1, "b": sample_from(lambda config: config["alhpa"])})
    assert error.value.__notes__ == ["It was raised by the function given to sample_from for 'b'."]


def test_chance_in_functions_is_seeded_and_nobody_outside_notices() -> None:
    space = {
        "a": sample_from(lambda _: (random.random(), np.random.uniform())),
        "b": sample_from(lambda _: np.random.rand()),
    }
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist()
    first = all_of(space, 3, seed=5)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    random.seed(2)
    np.random.seed(2)
    assert all_of(space, 3, seed=5) == first
    assert len({config["b"] for config in first}) == 3


def test_choices_and_grids_may_hold_spaces() -> None:
    space = {
        "model": choice([{"kind": "linear", "l2": loguniform(1e-3, 1)}, {"kind": "tree", "depth": randint(1, 9)}]),
        "data": grid_search([{"size": 1}, {"size": uniform(2, 3), "more": grid_search([True, False])}]),
    }
    configs = all_of(space, 10)
    assert len(configs) == count_of(space, 10) == 30
    assert {frozenset(config["model"]) for config in configs} == {
        frozenset({"kind", "l2"}),
        frozenset({"kind", "depth"}),
    }
    assert [config["data"].get("more") for config in configs[:3]] == [None, True, False]
    assert all(2 <= config["data"]["size"] <= 3 for config in configs if "more" in config["data"])


def test_a_grid_that_appears_by_chance_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match=r"grid_search at 'a.0./b'"):
        all_of({"a": choice([{"b": grid_search([1])}])})


def test_points_come_first_and_fix_grids() -> None:
    space = {"g": grid_search([1, 2]), "x": uniform(0, 1), "m": {"y": choice(["a", "b"])}}
    points = [{"x": 0.25, "m": {"y": "b"}}, {"g": 2, "m/y": "a"}]
    configs = all_of(space, 3, points=points)
    assert len(configs) == count_of(space, 3, points) == 2 + 1 + 2
    assert configs[:2] == [{"g": g, "x": 0.25, "m": {"y": "b"}} for g in (1, 2)]
    assert configs[2]["g"] == 2
    assert configs[2]["m"]["y"] == "a"


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ({"xx": 1}, "'xx', which the space has not; did you mean 'x'"),
        ({"x": 2}, r"2 at 'x', which is not in \(0.0, 1.0\)"),
        ({"m": {"y": "c"}}, "'c' at 'm/y', which is none of"),
        ({"fixed": 2}, "the space has 1 for all trials"),
        ({"g": 3}, "3 at 'g'"),
    ],
)
def test_points_that_do_not_fit(point: dict[str, Any], says: str) -> None:
    space = {"g": grid_search([1, 2]), "x": uniform(0, 1), "m": {"y": choice(["a", "b"])}, "fixed": 1}
    with pytest.raises(InvalidArgumentError, match=says):
        matched(space, point)


def test_what_there_is_to_search() -> None:
    space = {"a": uniform(0, 1), "b": [choice([{"c": uniform(0, 1)}, 1])], "f": sample_from(lambda: 1), "k": 1}
    assert list(parameters(space)) == ["a", "b/0", "b/0[0]/c"]
    assert matched(space, {"b": [{"c": 0.5}]}) == {"b/0": 0, "b/0[0]/c": 0.5}
    with pytest.raises(InvalidArgumentError, match=r"grid_search at 'g'.*use choice"):
        parameters({"g": grid_search([1]), "a": uniform(0, 1)})


def test_what_varies() -> None:
    space = {"a": uniform(0, 1), "k": 1, "b": {"c": grid_search([1, 2])}, "l": [1, randint(0, 3)]}
    [config, _] = all_of(space)
    assert varied(space, config) == {"a": config["a"], "b/c": 1, "l/1": config["l"][1]}


def test_objects_pass_as_they_are() -> None:
    thing = object()
    [config] = all_of({"thing": thing, "x": uniform(0, 1)})
    assert config["thing"] is thing


LEAVES = st.one_of(
    st.integers(),
    st.builds(lambda: uniform(0, 1)),
    st.builds(lambda: randint(0, 5)),
    st.lists(st.integers(), min_size=1, max_size=3).map(choice),
    st.lists(st.integers(), min_size=1, max_size=3).map(grid_search),
)
SPACES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=3,
)


@given(SPACES, st.integers(0, 3), st.integers(0, 1000))
def test_any_space_gives_as_many_as_counted_each_of_its_shape(space: dict[str, Any], samples: int, seed: int) -> None:
    configs = all_of(space, samples, seed)
    assert len(configs) == count_of(space, samples)
    for config in configs:
        # Each configuration is a point of the space, and a point of all parameters is that configuration again.
        again = all_of(space, 1, seed, points=[config])
        assert again == [config]
