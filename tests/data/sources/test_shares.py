"""Dividing work in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.sources.shares import shares


@given(st.lists(st.integers(0, 1 << 40), max_size=50), st.integers(1, 60))
def test_all_positions_in_order_in_as_many_runs_as_can_be(weights: list[int], count: int) -> None:
    runs = shares(weights, count)
    assert [place for run in runs for place in run] == list(range(len(weights)))
    assert len(runs) == min(count, len(weights))
    assert all(runs)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(1, 10))
def test_no_run_is_much_heavier_than_its_part(weights: list[int], count: int) -> None:
    total, heaviest = sum(weights) + len(weights), max(weights) + 1
    for run in shares(weights, count):
        assert sum(weights[place] + 1 for place in run) <= total / min(count, len(weights)) + 2 * heaviest


def test_equal_weights_make_equal_runs() -> None:
    assert [len(run) for run in shares([5] * 12, 4)] == [3, 3, 3, 3]
