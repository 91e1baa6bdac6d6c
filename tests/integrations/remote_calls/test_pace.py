"""How many calls travel together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.util.remote_calls.pace import FRAME_SECONDS, LARGEST_FRAME, SHORTEST_FRAME_SECONDS, Pace


def test_calls_of_unknown_length_travel_alone() -> None:
    assert Pace().frame_size(100, 2) == 1


def test_short_calls_travel_together_shared_out_among_the_free_slots() -> None:
    pace = Pace()
    pace.learn(1, FRAME_SECONDS / 1000)
    assert pace.frame_size(100, 2) == 50
    assert pace.frame_size(1, 2) == 1


def test_calls_that_take_no_longer_than_a_frame_costs_are_not_shared_out() -> None:
    pace = Pace()
    pace.learn(1, SHORTEST_FRAME_SECONDS / 10)
    assert pace.frame_size(8, 2) == 8
    assert pace.frame_size(2, 2) == 1
    assert pace.frame_size(12, 2) == 10
    assert pace.frame_size(40, 2) == 20


def test_long_calls_travel_alone() -> None:
    pace = Pace()
    pace.learn(1, 10 * FRAME_SECONDS)
    assert pace.frame_size(100, 1) == 1


def test_one_long_call_makes_frames_small_at_once() -> None:
    pace = Pace()
    for _ in range(10):
        pace.learn(100, FRAME_SECONDS / 10)
    pace.learn(1, 1.0)
    assert pace.frame_size(100, 1) == 1


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 10)), max_size=5),
    st.integers(1, 10**6),
    st.integers(1, 100),
)
def test_a_frame_has_at_least_one_call_and_never_more_than_wait(
    learnt: list[tuple[int, float]], waiting: int, free: int
) -> None:
    pace = Pace()
    for calls, seconds in learnt:
        pace.learn(calls, seconds)
    assert 1 <= pace.frame_size(waiting, free) <= min(waiting, LARGEST_FRAME)
