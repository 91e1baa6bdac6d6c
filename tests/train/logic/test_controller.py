"""What a training run decides."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.train._internal.logic.controller import (
    FAILED,
    FINISHED,
    STARTING,
    Commit,
    Controller,
    Effect,
    End,
    StartGroup,
    StopGroup,
)


def started(workers: int, max_failures: int = 0, checkpoints: int = 0) -> Controller:
    controller = Controller(workers, max_failures, checkpoints)
    assert controller.begin() == [StartGroup(workers, 0)]
    assert controller.group_started() == []
    return controller


def test_it_ends_when_all_ranks_have() -> None:
    controller = started(2)
    assert controller.rank_finished(1, "one") == []
    assert controller.rank_finished(0, "zero") == [StopGroup(), End()]
    assert controller.state == FINISHED
    assert controller.return_value == "zero"


def test_every_report_of_rank_0_is_kept() -> None:
    controller = started(2)
    for step in range(3):
        assert controller.reported(0, {"step": step}, False) == []
    controller.reported(1, {"step": 99}, False)
    assert controller.history == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_a_checkpoint_is_whole_when_all_ranks_have_made_the_report() -> None:
    controller = started(3, checkpoints=5)
    assert controller.reported(2, {}, True) == []
    assert controller.reported(0, {"loss": 1.0}, False) == []
    assert controller.reported(0, {"loss": 0.5}, False) == []
    assert controller.reported(1, {}, False) == [Commit(5, 0, {"loss": 1.0})]


def test_a_rank_that_ends_without_the_report_is_named() -> None:
    controller = started(3)
    controller.reported(0, {}, True)
    controller.reported(1, {}, False)
    stop, end = controller.rank_finished(2, None)
    assert isinstance(stop, StopGroup)
    assert isinstance(end, End)
    assert "rank 2 ended without making it (rank 0: 1, rank 1: 1, rank 2: 0)" in end.mismatch
    assert controller.state == FAILED


def test_a_checkpoint_after_another_rank_has_ended_is_named_too() -> None:
    controller = started(2)
    controller.rank_finished(1, None)
    _, end = controller.reported(0, {}, True)
    assert isinstance(end, End)
    assert "rank 1" in end.mismatch


def test_different_numbers_of_reports_without_a_checkpoint_are_fine() -> None:
    controller = started(2)
    controller.reported(0, {}, False)
    assert controller.rank_finished(1, None) == []
    assert controller.rank_finished(0, None) == [StopGroup(), End()]


def test_a_failure_starts_the_group_again_as_often_as_it_may() -> None:
    controller = started(2, max_failures=1)
    error = ValueError("x")
    assert controller.failed({1: error}) == [StopGroup(), StartGroup(2, 1)]
    assert controller.state == STARTING
    controller.group_started()
    assert controller.failed({0: error}) == [StopGroup(), End({0: error})]
    assert controller.state == FAILED


def test_reports_that_were_not_whole_are_forgotten_by_a_restart() -> None:
    controller = started(2, max_failures=-1)
    controller.reported(0, {"step": 0}, True)
    controller.failed({1: ValueError()})
    controller.group_started()
    assert controller.reported(1, {}, False) == []
    assert controller.reported(0, {"step": 1}, True) == [Commit(0, 0, {"step": 1})]


def test_what_comes_after_the_end_changes_nothing() -> None:
    controller = started(1)
    controller.rank_finished(0, None)
    assert controller.reported(0, {}, True) == []
    assert controller.rank_finished(0, None) == []
    assert controller.failed({0: ValueError()}) == []


EVENTS = st.lists(
    st.tuples(st.sampled_from(["report", "checkpoint", "finish", "fail"]), st.integers(0, 2)), max_size=60
)


@given(events=EVENTS, max_failures=st.integers(-1, 3))
def test_any_order_of_events(events: list[tuple[str, int]], max_failures: int) -> None:
    """Checkpoints are numbered without a gap, restarts are counted, and there is one end."""
    controller = started(3, max_failures)
    effects: list[Effect] = []
    done: set[int] = set()
    for kind, rank in events:
        if rank in done:
            continue
        made: list[Any]
        if kind == "finish":
            made = controller.rank_finished(rank, None)
            done.add(rank)
        elif kind == "fail":
            made = controller.failed({rank: ValueError()})
        else:
            made = controller.reported(rank, {}, kind == "checkpoint")
        if any(isinstance(effect, StartGroup) for effect in made):
            controller.group_started()
            done.clear()
        effects += made
    assert [effect.number for effect in effects if isinstance(effect, Commit)] == list(
        range(sum(isinstance(effect, Commit) for effect in effects))
    )
    restarts = sum(isinstance(effect, StartGroup) for effect in effects)
    assert max_failures == -1 or restarts <= max_failures
    ends = [number for number, effect in enumerate(effects) if isinstance(effect, End)]
    assert ends in ([], [len(effects) - 1])
