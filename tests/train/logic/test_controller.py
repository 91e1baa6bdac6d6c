"""What a training run decides."""

from __future__ import annotations

from shoal.train._internal.logic.controller import (
    FAILED,
    FINISHED,
    RUNNING,
    SCHEDULING,
    STARTING,
    Commit,
    Controller,
    End,
    MeasureCapacity,
    StartGroup,
    StopGroup,
)


def started(workers: int, max_failures: int = 0, checkpoints: int = 0) -> Controller:
    controller = Controller(workers, workers, max_failures, checkpoints)
    assert controller.begin() == [StartGroup(workers, 0)]
    assert controller.state == STARTING
    assert controller.group_started(0) == []
    assert controller.state == RUNNING
    return controller


def elastic(fewest: int, most: int, fit: int, max_failures: int = -1) -> Controller:
    controller = Controller(fewest, most, max_failures)
    assert controller.begin() == [MeasureCapacity()]
    assert controller.state == SCHEDULING
    assert controller.capacity(fit) == [StartGroup(max(fewest, min(fit, most)), 0)]
    controller.group_started(0)
    return controller


def test_it_ends_when_all_ranks_have() -> None:
    controller = started(2)
    assert controller.rank_finished(0, 1, "one") == []
    assert controller.rank_finished(0, 0, "zero") == [StopGroup(), End()]
    assert controller.state == FINISHED
    assert controller.return_value == "zero"


def test_every_report_of_rank_0_is_kept() -> None:
    controller = started(2)
    for step in range(3):
        assert controller.reported(0, 0, {"step": step}, False) == []
    controller.reported(0, 1, {"step": 99}, False)
    assert controller.history == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_a_checkpoint_is_whole_when_all_ranks_have_made_the_report() -> None:
    controller = started(3, checkpoints=5)
    assert controller.reported(0, 2, {"r": 2}, True, {"train": 20}) == []
    assert controller.reported(0, 0, {"loss": 1.0}, False, {"train": 0}) == []
    assert controller.reported(0, 0, {"loss": 0.5}, False) == []
    assert controller.reported(0, 1, {"r": 1}, False, {"train": 10}) == [
        Commit(5, 0, [{"loss": 1.0}, {"r": 1}, {"r": 2}], [{"train": 0}, {"train": 10}, {"train": 20}])
    ]


def test_a_rank_that_ends_without_the_report_is_named() -> None:
    controller = started(3)
    controller.reported(0, 0, {}, True)
    controller.reported(0, 1, {}, False)
    stop, end = controller.rank_finished(0, 2, None)
    assert isinstance(stop, StopGroup)
    assert isinstance(end, End)
    assert "Report 1 has a checkpoint, and rank 2 ended without making it" in end.mismatch
    assert "(rank 0: 1, rank 1: 1, rank 2: 0)" in end.mismatch
    assert controller.state == FAILED


def test_a_checkpoint_after_another_rank_has_ended_is_named_too() -> None:
    controller = started(2)
    controller.rank_finished(0, 1, None)
    assert controller.reported(0, 0, {}, False) == []
    _, end = controller.reported(0, 0, {}, True)
    assert isinstance(end, End)
    assert "Report 2 has a checkpoint, and rank 1" in end.mismatch


def test_different_numbers_of_reports_without_a_checkpoint_are_fine() -> None:
    controller = started(2)
    controller.reported(0, 0, {}, False)
    assert controller.rank_finished(0, 1, None) == []
    assert controller.rank_finished(0, 0, None) == [StopGroup(), End()]


def test_a_failure_starts_the_group_again_as_often_as_it_may() -> None:
    controller = started(2, max_failures=1)
    error = ValueError("x")
    assert controller.failed(0, {1: error}) == [StopGroup(keep_place=True), StartGroup(2, 1)]
    assert controller.state == STARTING
    assert controller.restarts == 1
    controller.group_started(1)
    assert controller.failed(1, {0: error}) == [StopGroup(), End({0: error})]
    assert controller.state == FAILED
    assert controller.is_over


def test_reports_that_were_not_whole_are_forgotten_by_a_restart() -> None:
    controller = started(2, max_failures=-1)
    controller.reported(0, 0, {"step": 0}, True)
    controller.failed(0, {1: ValueError()})
    controller.group_started(1)
    assert controller.reported(1, 1, {}, False) == []
    (commit,) = controller.reported(1, 0, {"step": 1}, True)
    assert isinstance(commit, Commit)
    assert (commit.number, commit.report) == (0, 0)


def test_what_an_attempt_says_after_its_end_changes_nothing() -> None:
    controller = started(2, max_failures=-1)
    controller.failed(0, {1: ValueError()})
    assert controller.reported(0, 0, {"late": 1}, True) == []
    assert controller.failed(0, {0: ValueError()}) == []
    assert controller.rank_finished(0, 0, None) == []
    assert controller.group_started(0) == []
    assert (controller.attempt, controller.state, controller.history) == (1, STARTING, [])


def test_what_comes_after_the_end_changes_nothing() -> None:
    controller = started(1)
    controller.rank_finished(0, 0, None)
    assert controller.reported(0, 0, {}, True) == []
    assert controller.rank_finished(0, 0, None) == []
    assert controller.failed(0, {0: ValueError()}) == []
    assert controller.cannot_start(0, ValueError()) == []


def test_workers_that_cannot_be_placed_end_the_run() -> None:
    controller = Controller(2, 2, -1)
    controller.begin()
    cause = ValueError("too many")
    assert controller.cannot_start(0, cause) == [StopGroup(), End(cause=cause)]


def test_an_elastic_run_begins_with_what_fits() -> None:
    for fit, workers in ((1, 2), (2, 2), (3, 3), (9, 4)):
        assert elastic(2, 4, fit).workers == workers


def test_an_elastic_run_goes_on_with_fewer_after_a_failure() -> None:
    controller = elastic(1, 4, 4)
    assert controller.failed(0, {3: ValueError()}) == [StopGroup(), MeasureCapacity()]
    assert controller.capacity(2) == [StartGroup(2, 1)]


def test_it_grows_when_the_next_checkpoint_is_whole() -> None:
    controller = elastic(1, 3, 1)
    controller.reported(0, 0, {}, True)
    assert controller.room(0, 7) == []
    assert controller.reported(0, 0, {}, False) == []
    commit, stop, start = controller.reported(0, 0, {}, True)
    assert isinstance(commit, Commit)
    assert (stop, start) == (StopGroup(), StartGroup(3, 1))
    assert (controller.resizes, controller.restarts) == (1, 0)


def test_it_does_not_grow_when_a_rank_has_ended() -> None:
    controller = elastic(2, 3, 2)
    controller.room(0, 3)
    controller.reported(0, 0, {}, True)
    controller.reported(0, 1, {}, False)
    controller.reported(1, 0, {}, True)
    controller.reported(1, 1, {}, True)
    controller.reported(1, 2, {}, True)
    assert controller.resizes == 1
    controller.reported(1, 0, {}, True)
    controller.rank_finished(1, 0, None)
    controller.room(1, 3)
    controller.reported(1, 1, {}, True)
    assert [type(effect) for effect in controller.reported(1, 2, {}, True)] == [Commit]


def test_room_that_went_meanwhile_is_measured_again() -> None:
    controller = Controller(1, 4, 0)
    controller.begin()
    controller.capacity(4)
    assert controller.no_room(0) == [StopGroup(), MeasureCapacity()]
    assert controller.capacity(0) == [StartGroup(1, 1)]
    # The fewest are waited for.
    assert controller.no_room(1) == []
    assert controller.state == STARTING
