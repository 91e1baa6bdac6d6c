"""Domains: what they draw, what they hold to be valid, and the errors of those that cannot be."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune import search_space as space
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search import sample

DOMAINS: dict[str, tuple[space.Domain, Callable[[Any], bool]]] = {
    "uniform": (space.uniform(-2, 3), lambda v: type(v) is float and -2 <= v <= 3),
    "loguniform": (space.loguniform(1e-4, 1), lambda v: type(v) is float and 1e-4 <= v <= 1),
    "quniform": (space.quniform(3.2, 5.4, 0.2), lambda v: v in [round(3.2 + 0.2 * k, 1) for k in range(12)]),
    "qloguniform": (
        space.qloguniform(1e-4, 1e-1, 5e-5),
        lambda v: 1e-4 <= v <= 1e-1 and round(v / 5e-5) * 5 == round(v * 1e5),
    ),
    "randint": (space.randint(-3, 3), lambda v: type(v) is int and -3 <= v < 3),
    "qrandint": (space.qrandint(-21, 12, 3), lambda v: type(v) is int and -21 <= v <= 12 and v % 3 == 0),
    "lograndint": (space.lograndint(1, 100), lambda v: type(v) is int and 1 <= v < 100),
    "qlograndint": (space.qlograndint(1, 10, 2), lambda v: v in (2, 4, 6, 8, 10)),
    "randn": (space.randn(10, 2), lambda v: type(v) is float and 0 < v < 20),
    "qrandn": (space.qrandn(10, 2, 0.2), lambda v: math.isclose(v * 5, round(v * 5))),
    "choice": (space.choice(["a", None, 1]), lambda v: v in ("a", None, 1)),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_draws_are_what_the_domain_has(name: str) -> None:
    domain, holds = DOMAINS[name]
    drawn = domain.sample(size=300, random_state=1)
    assert all(map(holds, drawn)), drawn
    assert all(map(domain.is_valid, drawn))
    assert len(set(map(str, drawn))) > 1
    assert drawn == domain.sample(size=300, random_state=1)
    assert drawn != domain.sample(size=300, random_state=2)
    assert pickle.loads(pickle.dumps(domain)) == domain


def test_ends_of_ranges() -> None:
    assert set(space.randint(0, 3).sample(size=100, random_state=0)) == {0, 1, 2}
    assert set(space.qrandint(0, 3).sample(size=100, random_state=0)) == {0, 1, 2, 3}
    assert set(space.qrandint(0, 9, 3).sample(size=100, random_state=0)) == {0, 3, 6, 9}
    assert set(space.quniform(0, 0.3, 0.1).sample(size=100, random_state=0)) == {0, 0.1, 0.2, 0.3}
    assert set(space.lograndint(1, 4).sample(size=200, random_state=0)) == {1, 2, 3}


def test_quantized_draws_are_even() -> None:
    counts = Counter(space.quniform(0, 4, 1).sample(size=5000, random_state=0))
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_logarithms_are_even() -> None:
    drawn = space.loguniform(1e-4, 1).sample(size=4000, random_state=0)
    assert 0.45 < sum(value < 1e-2 for value in drawn) / 4000 < 0.55


@given(st.integers(-50, 50), st.integers(1, 60), st.integers(1, 7), st.integers(0, 2**32))
def test_quantized_integers_stay_in_their_bounds(lower: int, width: int, q: int, seed: int) -> None:
    try:
        domain = space.qrandint(lower, lower + width, q)
    except InvalidArgumentError:
        assert -(-lower // q) * q > lower + width
        return
    value = domain.sample(random_state=seed)
    assert lower <= value <= lower + width
    assert value % q == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: space.uniform(1, 0), "uniform: lower is 1.0 and upper is 0.0.*swapped"),
        (lambda: space.uniform(1, 1), "lower has to be below"),
        (lambda: space.uniform(0, math.inf), "upper is inf; give a finite number"),
        (lambda: space.uniform(math.nan, 1), "lower is nan"),
        (lambda: space.uniform("0", 1), "lower is '0'"),
        (lambda: space.uniform(True, 2), "lower is True"),
        (lambda: space.loguniform(0, 1), "logarithms need numbers > 0"),
        (lambda: space.loguniform(1, 2, base=1), "base is 1"),
        (lambda: space.quniform(0, 1, 0.3), r"upper is 1.0, which is no multiple of q = 0.3; give 0.9"),
        (lambda: space.quniform(0, 1, 0), "q is 0"),
        (lambda: space.qloguniform(0.1, 1, -1), "q is -1"),
        (lambda: space.randint(0, 2.5), "upper is 2.5; give a whole number"),
        (lambda: space.randint(5, 5), "lower is 5 and upper is 5"),
        (lambda: space.qrandint(1, 3, 5), "no multiple of q = 5 from 1 to 3"),
        (lambda: space.qrandint(1, 3, 1.5), "q is 1.5"),
        (lambda: space.lograndint(0, 3), "logarithms"),
        (lambda: space.randn(0, 0), "sd is 0"),
        (lambda: space.qrandn(0, 1, 0), "q is 0"),
        (lambda: space.choice([]), "categories is empty"),
        (lambda: space.choice("abc"), "categories is 'abc'; give a list"),
        (lambda: space.choice({1, 2}), "a set, which has no order"),
        (lambda: space.choice(3), "categories is 3"),
        (lambda: space.grid_search([]), "values is empty"),
        (lambda: space.sample_from(3), "func is 3"),
        (lambda: space.Float(None, 1).uniform(), "give both"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_so(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_numbers_of_numpy_are_numbers() -> None:
    assert space.randint(np.int64(0), np.int32(3)) == space.randint(0, 3)
    assert space.uniform(np.float32(0), np.float64(1)) == space.uniform(0, 1)
    assert space.randint(0, 1e4).upper == 10_000
    assert space.choice(np.array([1, 2])).categories == (1, 2)
    assert space.uniform(0, 1).is_valid(np.float64(0.5))
    assert type(space.randint(0, 9).cast(np.int64(3))) is int


def test_validity() -> None:
    assert not space.uniform(0, 1).is_valid(1.5)
    assert not space.uniform(0, 1).is_valid("1")
    assert not space.uniform(0, 1).is_valid(math.nan)
    assert not space.randint(0, 3).is_valid(3)
    assert not space.randint(0, 3).is_valid(1.5)
    assert space.qrandint(0, 4, 2).is_valid(4)
    assert space.choice([np.array([1, 2]), 3]).is_valid(np.array([1, 2]))
    assert not space.choice([1, 2]).is_valid(3)
    assert space.choice([True, 1]).index_of(1) == 1


def test_names_of_rays_module() -> None:
    assert isinstance(space.uniform(0, 1), sample.Float)
    assert isinstance(space.uniform(0, 1).get_sampler(), sample.Uniform)
    assert isinstance(space.loguniform(1, 2).sampler, sample.LogUniform)
    assert space.quniform(0, 1, 0.5).sampler == sample.Quantized(sample.Uniform(), 0.5)
    assert space.randn(1, 2).sampler == sample.Normal(1, 2)
    assert isinstance(sample.Categorical((1, 2)).grid().sampler, sample.Grid)
    assert sample.Float(0, 1).uniform().quantized(0.5) == space.quniform(0, 1, 0.5)
    assert sample.Integer(1, 9).loguniform() == space.lograndint(1, 9)
    assert space.sample_from(lambda config: config["a"] + 1).sample({"a": 1}) == 2
    assert space.sample_from(lambda: 3).sample() == 3
    assert isinstance(space.sample_from(max), sample.Function)


def test_a_grid_is_a_dict_as_in_ray() -> None:
    assert space.grid_search([1, 2]) == {"grid_search": [1, 2]}
    assert space.grid_search(range(2)) == {"grid_search": [0, 1]}
