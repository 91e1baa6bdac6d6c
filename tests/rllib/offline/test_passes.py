"""The order of steps and chunks: each once in a pass, and the same again from a state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib._internal.offline.passes import Deal
from shoal.rllib.utils.error import OfflineDataError


class Window:
    """Chunks, and steps of them."""

    def __init__(self, number: int, lengths: list[int]) -> None:
        self.number = number
        self.lengths = np.array(lengths)

    def __len__(self) -> int:
        return int(self.lengths.sum())


def dealing(windows: list[list[int]], seed: int | None = 0) -> Deal:
    def begin() -> Iterator[Window]:
        return (Window(number, lengths) for number, lengths in enumerate(windows))

    return Deal(begin, seed)


WINDOWS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=3)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def steps_dealt(deal: Deal, sizes: list[int]) -> list[list[tuple[int, int]]]:
    return [[(window.number, int(n)) for window, part in deal.next_steps(size) for n in part] for size in sizes]


def chunks_dealt(deal: Deal, sizes: list[int]) -> list[list[tuple[int, int, int, int]]]:
    return [[(window.number, *part) for window, *part in deal.next_chunks(size)] for size in sizes]


@given(windows=WINDOWS, sizes=SIZES)
def test_each_step_comes_once_in_a_pass_and_windows_in_their_order(windows: list[list[int]], sizes: list[int]) -> None:
    dealt = steps_dealt(dealing(windows), sizes)
    assert [len(part) for part in dealt] == sizes
    flat = [step for part in dealt for step in part]
    every = {(number, step) for number, lengths in enumerate(windows) for step in range(sum(lengths))}
    for start in range(0, len(flat), len(every)):
        one = flat[start : start + len(every)]
        assert len(set(one)) == len(one) and set(one) <= every
        assert [number for number, _ in one] == sorted(number for number, _ in one)


@given(windows=WINDOWS, sizes=SIZES)
def test_chunks_come_whole_and_cut_ones_go_on(windows: list[list[int]], sizes: list[int]) -> None:
    dealt = chunks_dealt(dealing(windows), sizes)
    assert [sum(stop - start for *_, start, stop in part) for part in dealt] == sizes
    steps = [(number, chunk, at) for part in dealt for number, chunk, start, stop in part for at in range(start, stop)]
    total = sum(map(sum, windows))
    for start in range(0, len(steps), total):
        one = steps[start : start + total]
        assert len(set(one)) == len(one)
    for before, after in itertools.pairwise(steps):
        ended = before[2] + 1 == windows[before[0]][before[1]]
        assert after[2] == 0 if ended else after == (*before[:2], before[2] + 1)


@given(windows=WINDOWS, before=SIZES, after=SIZES, seed=st.one_of(st.none(), st.integers(0, 5)))
def test_a_state_is_where_it_goes_on(
    windows: list[list[int]], before: list[int], after: list[int], seed: int | None
) -> None:
    for dealt in (steps_dealt, chunks_dealt):
        deal, other = dealing(windows, seed), dealing(windows, 9)
        dealt(deal, before)
        other.set_state(deal.get_state())
        assert dealt(deal, after) == dealt(other, after)


def test_seeds_and_passes_make_the_order() -> None:
    deal = dealing([[30]], 1)
    first, second = steps_dealt(deal, [30, 30])
    assert first != second
    assert steps_dealt(dealing([[30]], 1), [30]) == [first] != steps_dealt(dealing([[30]], 2), [30])


def test_nothing_is_told_of() -> None:
    with pytest.raises(OfflineDataError, match="no steps"):
        dealing([]).next_steps(1)
