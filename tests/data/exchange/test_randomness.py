"""Chance that depends on seed and position alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.exchange.randomness import numbers_at


@given(st.integers(-(2**70), 2**70), st.integers(0, 100), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_numbers_do_not_depend_on_how_they_are_asked_for(seed: int, first: int, pieces: list[int]) -> None:
    whole = numbers_at(seed, 1, first, sum(pieces))
    parts = []
    for piece in pieces:
        parts.append(numbers_at(seed, 1, first, piece))
        first += piece
    assert np.array_equal(whole, np.concatenate(parts))


def test_seeds_and_streams_are_apart() -> None:
    one = numbers_at(1, 1, 0, 100)
    assert not np.array_equal(one, numbers_at(2, 1, 0, 100))
    assert not np.array_equal(one, numbers_at(1, 2, 0, 100))


def test_numbers_are_uniform() -> None:
    numbers = numbers_at(7, 1, 0, 100_000) / 2.0**64
    assert abs(numbers.mean() - 0.5) < 0.01
    assert np.histogram(numbers, bins=10, range=(0, 1))[0].min() > 9_000
