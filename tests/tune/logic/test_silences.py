"""Trials that say nothing, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.tune.logic.simulated_search import Hang, SimulatedSearch, Step

from shoal.tune import grid_search
from shoal.tune._internal.logic.silences import ANSWER, WARN_AFTER, Silences
from shoal.tune.exceptions import TrialHungError
from shoal.tune.experiment.trial import ERROR, TERMINATED


def hangs_once_at(step_of: dict[int, int], where: str = "in forever") -> Any:
    """Trials by number: at which step they hang, the first time."""

    def trainable(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(start, 4):
            if step_of.get(config["n"]) == step:
                del step_of[config["n"]]
                raise Hang(where)
            yield 1.0, {"step": step}, True

    return trainable


def test_a_trial_that_hangs_fails_and_the_others_finish_in_a_new_process() -> None:
    search = SimulatedSearch(hangs_once_at({1: 2}), {"n": grid_search([0, 1, 2, 3])}, max_silence=10.0, cpus=1).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED, ERROR, TERMINATED, TERMINATED]
    error = search.state.trials[1].error
    assert isinstance(error, TrialHungError)
    assert "10 s" in str(error)
    assert "in forever" in str(error)
    assert search.executors_started == 2
    assert 24.0 < search.now < 24.2  # 14 steps and 10 s of silence


def test_a_process_that_does_not_answer_is_given_up() -> None:
    search = SimulatedSearch(hangs_once_at({0: 0}, where=""), {"n": grid_search([0, 1])}, max_silence=10.0, cpus=1)
    search.run()
    assert [trial.status for trial in search.state.trials] == [ERROR, TERMINATED]
    assert "does not say where" in str(search.state.trials[0].error)
    assert search.now > 10.0 + ANSWER


def test_it_is_tried_again_from_its_checkpoint() -> None:
    search = SimulatedSearch(hangs_once_at({0: 3}), {"n": grid_search([0])}, max_silence=10.0, max_failures=1).run()
    (trial,) = search.state.trials
    assert (trial.status, trial.num_failures, trial.last_result["training_iteration"]) == (TERMINATED, 1, 4)


def test_who_reports_in_time_is_left_alone() -> None:
    search = SimulatedSearch(hangs_once_at({}), {"n": grid_search([0, 1, 2])}, max_silence=1.5, cpus=1).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 3
    assert not [line for line in search.trace if " ask " in line]


def test_without_a_limit_the_user_is_warned_once() -> None:
    def slow(config: dict[str, Any], start: int) -> Iterator[Step]:
        yield 2.5 * WARN_AFTER, {"step": 0}, False
        yield 2.5 * WARN_AFTER, {"step": 1}, False

    search = SimulatedSearch(slow, {}).run()
    assert [line for line in search.trace if "warn" in line] == ["600.010 warn of 0 after 600"]
    assert search.state.trials[0].status == TERMINATED


def test_a_trial_that_was_told_to_end_and_does_not_is_over() -> None:
    def trainable(config: dict[str, Any], start: int) -> Iterator[Step]:
        yield 1.0, {"x": 1}, False
        if config["n"] == 1:
            raise Hang("here")
        yield 2.0, {"x": 2}, False

    class StopsAll:
        ends = False

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return self.ends

    search = SimulatedSearch(trainable, {"n": grid_search([0, 1])}, max_silence=3.0, stopper=StopsAll()).run(1.0)
    search.state.request_stop(search.state.trials[1])
    search.run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED, TERMINATED]
    assert search.state.trials[1].why_stopped == "scheduler"


def test_a_report_on_the_way_counts() -> None:
    search = SimulatedSearch(hangs_once_at({0: 1}), {"n": grid_search([0])}, max_silence=10.0).run(until=1.5)
    state = search.state
    number = next(iter(state._running))
    assert state.told_where(number, 20.0, "late", 12.0) == []  # nobody has asked
    (asks,) = state.tick(11.02)
    assert asks.executor == number  # type: ignore[union-attr]
    assert state.told_where(number, 0.5, "", 11.03) == []
    assert state.next_deadline is not None
    assert state.next_deadline <= 11.03 - 0.5 + 10.0
    assert state.tick(11.5) == []
    assert state.trials[0].status == "RUNNING"


def test_ends_of_trials_end_their_deadlines() -> None:
    silences = Silences(5.0)
    silences.heard(0, 0.0)
    silences.heard(1, 1.0)
    assert silences.next_deadline == 5.0
    assert silences.due(5.0) == ([0], [])
    assert silences.next_deadline == 6.0
    silences.asked(0, 5.0)
    silences.gone(0)
    assert silences.due(20.0) == ([1], [])
    silences.gone(1)
    assert silences.next_deadline is None
