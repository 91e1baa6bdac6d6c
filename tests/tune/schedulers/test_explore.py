"""How configurations change: drawn anew, stepped, kept in their domains."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune.schedulers.explore import changes, explored, tag_of
from shoal.tune.search_space import choice, loguniform, randint, uniform

FACTORS = (1.2, 0.8)


def stepped(config: dict, mutations: dict, seed: int = 0, resample: float = 0.0) -> dict:
    return explored(config, mutations, resample, FACTORS, random.Random(seed))


def test_numbers_are_multiplied() -> None:
    seen = {stepped({"x": 10.0}, {"x": lambda: 0.0}, seed)["x"] for seed in range(20)}
    assert seen == {12.0, 8.0}


def test_whole_numbers_stay_whole() -> None:
    assert {stepped({"x": 7}, {"x": lambda: 0}, seed)["x"] for seed in range(20)} == {8, 5}
    assert all(type(stepped({"x": 7}, {"x": randint(1, 9)}, seed)["x"]) is int for seed in range(20))
    assert isinstance(stepped({"x": np.float32(1.0)}, {"x": uniform(0, 2)})["x"], float)


def test_a_list_steps_to_a_neighbour_and_an_unknown_value_is_drawn_anew() -> None:
    assert {stepped({"x": 2}, {"x": [1, 2, 3]}, seed)["x"] for seed in range(20)} == {1, 3}
    assert {stepped({"x": 1}, {"x": (1, 2, 3)}, seed)["x"] for seed in range(20)} == {1, 2}
    assert {stepped({"x": "b"}, {"x": choice(["a", "b", "c"])}, seed)["x"] for seed in range(20)} == {"a", "c"}
    assert {stepped({"x": 9}, {"x": [1, 2, 3]}, seed)["x"] for seed in range(40)} == {1, 2, 3}


def test_what_is_no_number_is_drawn_anew() -> None:
    assert stepped({"x": "old"}, {"x": lambda: "new"}) == {"x": "new"}
    assert stepped({"x": True}, {"x": lambda: False}) == {"x": False}


def test_nested_and_untouched_parameters() -> None:
    old = {"a": {"x": 1.0, "kept": 3}, "other": [1]}
    new = stepped(old, {"a": {"x": lambda: 0.0}})
    assert new["a"]["kept"] == 3 and new["other"] == [1] and new["a"]["x"] in (1.2, 0.8)
    assert old == {"a": {"x": 1.0, "kept": 3}, "other": [1]}
    assert list(changes(old, new)) == [("a/x", new["a"]["x"])]
    assert tag_of({"a": {"x": 1.0}}, {"a": {"x": 1.2}}) == "perturbed[a/x=1.2]"
    assert tag_of({"a": np.zeros(3)}, {"a": np.ones(3)}).startswith("perturbed[a=")


def test_drawn_anew_with_its_probability() -> None:
    new = [stepped({"x": 1.0}, {"x": lambda: 77.0}, seed, resample=0.25)["x"] for seed in range(400)]
    assert 60 < new.count(77.0) < 140


@given(st.integers(0, 1000), st.floats(0.1, 1.0))
def test_values_stay_in_their_domains(seed: int, start: float) -> None:
    mutations = {"u": uniform(0.1, 1.0), "l": loguniform(0.1, 1.0), "i": randint(1, 4), "c": choice([1, 2])}
    config = {"u": start, "l": start, "i": 3, "c": 2}
    for _ in range(20):
        config = explored(config, mutations, 0.25, (3.0, 0.2), random.Random(seed))
        assert all(mutations[name].is_valid(value) for name, value in config.items())
        seed += 1
