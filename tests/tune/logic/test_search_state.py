"""What a search decides, on a virtual clock."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tune.logic.simulated_search import Crash, SimulatedSearch, Step

from shoal.train import CheckpointConfig
from shoal.tune import choice, grid_search, uniform
from shoal.tune.exceptions import InfeasibleTrialError, MetricNotReportedError, SearchStalledError
from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, TERMINATED, Trial
from shoal.tune.schedulers.trial_scheduler import TrialScheduler
from shoal.tune.search.searcher import Searcher
from shoal.tune.stopper import FunctionStopper


def five(config: dict[str, Any], start: int) -> Iterator[Step]:
    for step in range(start, 5):
        yield 1.0, {"loss": config.get("x", 0) - step}, True


def once(config: dict[str, Any], start: int) -> Iterator[Step]:
    yield 0.05, {"loss": config.get("x", 0), "last": True}, False


def test_all_trials_run_to_their_end_and_processes_are_used_again() -> None:
    search = SimulatedSearch(five, {"x": grid_search([1, 2, 3, 4])}).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 4
    assert [trial.last_result["training_iteration"] for trial in search.state.trials] == [5] * 4
    assert all(trial.last_result["done"] for trial in search.state.trials)
    assert search.executors_started == 2


def test_stoppers_see_nested_metrics_as_they_were_reported_and_by_flat_names() -> None:
    def nested(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(start, 5):
            yield 1.0, {"env_runners": {"step": step}}, False

    def stopper(trial_id: str, result: Any) -> bool:
        return bool(result["env_runners"]["step"] == result["env_runners/step"] == 2)

    search = SimulatedSearch(nested, {}, stopper=FunctionStopper(stopper)).run()
    assert search.state.trials[0].last_result["training_iteration"] == 3
    assert search.state.trials[0].last_result["env_runners"] == {"step": 2}


def test_without_reuse_each_trial_has_a_process_of_its_own() -> None:
    search = SimulatedSearch(once, {"x": grid_search([1, 2, 3, 4])}, reuse=False).run()
    assert search.executors_started == 4


def test_the_slots_are_busy_all_the_time() -> None:
    search = SimulatedSearch(once, {"x": uniform(0, 1)}, samples=200).run()
    assert search.now < 1.05 * 200 * 0.05 / 2


def test_the_same_search_gives_the_same_trace() -> None:
    def traced() -> list[str]:
        slow = lambda chance: chance.random()  # noqa: E731
        return SimulatedSearch(five, {"x": uniform(0, 1)}, samples=20, start_seconds=slow, seed=3).run().trace

    assert traced() == traced()


def test_the_same_seed_gives_the_same_trials_at_any_concurrency() -> None:
    def configs(cpus: int) -> list[dict[str, Any]]:
        search = SimulatedSearch(
            once, {"x": uniform(0, 1), "k": choice(["a", "b", "c"])}, samples=20, cpus=cpus, seed=5
        ).run()
        return [trial.config for trial in search.state.trials]

    assert configs(1) == configs(2) == configs(7)


def test_a_failed_trial_goes_on_from_its_checkpoint() -> None:
    failures = [3, 4]

    def fails(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(start, 5):
            if failures and step == failures[0]:
                failures.pop(0)
                raise Crash("killed")
            yield 1.0, {"step": step}, True

    search = SimulatedSearch(fails, {}, max_failures=2).run()
    trial = search.state.trials[0]
    assert (trial.status, trial.num_failures, trial.last_result["training_iteration"]) == (TERMINATED, 2, 5)
    assert [line.split("from ")[1] for line in search.trace if " run " in line] == ["0", "3", "4"]
    assert trial.error is None


def test_a_trial_that_fails_too_often_is_an_error_and_others_go_on() -> None:
    def fails(config: dict[str, Any], start: int) -> Iterator[Step]:
        if config["x"] == 2:
            raise ValueError("no")
        yield 1.0, {"loss": 1}, False

    search = SimulatedSearch(fails, {"x": grid_search([1, 2, 3])}, max_failures=1).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED, ERROR, TERMINATED]
    assert str(search.state.trials[1].error) == "no"
    assert search.state.trials[1].num_failures == 2


def test_a_report_is_told_before_its_checkpoint_and_its_end() -> None:
    search = SimulatedSearch(five, {}).run()
    told = [line for line in search.story if not line.startswith("run")]
    assert told == ["started 0", *["results 0", "saved 0"] * 5, "completed 0"]


def test_fail_fast_ends_the_search() -> None:
    def fails(config: dict[str, Any], start: int) -> Iterator[Step]:
        if config["x"] == 2:
            raise ValueError("no")
        for _ in range(100):
            yield 1.0, {"loss": 1}, False

    search = SimulatedSearch(fails, {"x": grid_search([1, 2, 3])}, fail_fast=True).run()
    assert search.now < 1
    assert [trial.status for trial in search.state.trials[:2]] == [TERMINATED, ERROR]


def test_a_missing_metric_is_named_with_what_is_like_it_and_not_tried_again() -> None:
    search = SimulatedSearch(five, {"x": 1}, metrics=("lost",), max_failures=-1).run()
    trial = search.state.trials[0]
    assert trial.status == ERROR
    assert isinstance(trial.error, MetricNotReportedError)
    assert "'lost'" in str(trial.error)
    assert "Did you mean 'loss'" in str(trial.error)


class GoesByWhatIsMissing(TrialScheduler):
    """As schedulers that are asked for no particular metric, but find out at a result that they need one."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if trial.config["x"] == 2:
            raise MetricNotReportedError(f"{trial} reports no 'time_total_h'")
        return self.CONTINUE


def test_a_scheduler_that_misses_something_in_a_report_fails_its_trial_alone() -> None:
    search = SimulatedSearch(five, {"x": grid_search([1, 2, 3])}, scheduler=GoesByWhatIsMissing()).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED, ERROR, TERMINATED]
    assert "time_total_h" in str(search.state.trials[1].error)


def test_a_trial_that_can_never_run_fails_at_once() -> None:
    def resources(config: dict[str, Any]) -> Any:
        return ({"CPU": config["cpus"]}, {"GPU": 1.0}) if config["cpus"] == 2 else ({"CPU": config["cpus"]},)

    search = SimulatedSearch(once, {"cpus": grid_search([1.0, 2.0, 3.0])}, resources=resources).run()
    first, second, third = search.state.trials
    assert first.status == TERMINATED
    assert isinstance(second.error, InfeasibleTrialError)
    assert "1 GPU (there: 0)" in str(second.error)
    assert "3 CPU (there: 2)" in str(third.error)


def test_trials_of_other_shapes_get_processes_of_theirs() -> None:
    search = SimulatedSearch(
        five, {"cpus": grid_search([1.0, 2.0, 0.5, 2.0])}, resources=lambda config: ({"CPU": config["cpus"]},)
    ).run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 4


def test_a_time_budget_ends_all_also_what_hangs() -> None:
    def hangs(config: dict[str, Any], start: int) -> Iterator[Step]:
        yield 1e5, {"loss": 1}, False

    search = SimulatedSearch(hangs, {"x": uniform(0, 1)}, samples=-1, time_budget=10.0).run()
    assert search.now == pytest.approx(12)
    assert {trial.status for trial in search.state.trials} == {TERMINATED}
    assert {trial.why_stopped for trial in search.state.trials} == {"time budget"}


class Stop(TrialScheduler):
    """Ends trials at an iteration."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return self.STOP if result["training_iteration"] >= 3 else self.CONTINUE


def test_a_scheduler_ends_trials() -> None:
    search = SimulatedSearch(five, {"x": grid_search([1, 2])}, scheduler=Stop()).run()
    assert [trial.last_result["training_iteration"] for trial in search.state.trials] == [3, 3]
    assert {trial.why_stopped for trial in search.state.trials} == {"scheduler"}


class TakeTurns(TrialScheduler):
    """Pauses each trial after each report; the one with the fewest reports goes on."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return self.PAUSE

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        waiting: Sequence[Trial] = [one for one in tune_controller.get_live_trials() if one.status in (PENDING, PAUSED)]
        return min(waiting, key=lambda one: (one.last_result.get("training_iteration", 0), one.number), default=None)


@pytest.mark.parametrize("reuse", [True, False])
def test_paused_trials_go_on_where_they_were(reuse: bool) -> None:
    search = SimulatedSearch(five, {"x": grid_search([1, 2, 3])}, scheduler=TakeTurns(), cpus=1, reuse=reuse).run()
    assert [trial.last_result["training_iteration"] for trial in search.state.trials] == [5, 5, 5]
    assert [trial.metric_analysis["loss"]["last"] for trial in search.state.trials] == [-3, -2, -1]


class Exploit(TrialScheduler):
    """Trial 0 goes on from trial 1's checkpoint, once both have reported twice."""

    def __init__(self) -> None:
        super().__init__()
        self.has = False

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        first, second = tune_controller.get_trials()[0], tune_controller.get_trials()[-1]
        if trial is first and not self.has and second.last_result.get("training_iteration", 0) >= 2:
            self.has = True
            tune_controller.exploit(first, second, {"x": 100}, tag="perturbed")
            return self.NOOP
        return self.CONTINUE


def test_a_trial_exploits_another() -> None:
    search = SimulatedSearch(
        five, {"x": grid_search([1, 2])}, scheduler=Exploit(), checkpoints=CheckpointConfig(num_to_keep=1)
    ).run()
    first = search.state.trials[0]
    assert first.config == {"x": 100}
    assert first.evaluated_params == {"x": 100}
    assert first.last_result["config"] == {"x": 100}
    assert first.experiment_tag.endswith("@perturbed")
    assert "restored 0" in search.story
    runs = [line for line in search.trace if " run 0 " in line]
    assert "from 2" in runs[1]
    # The donor's checkpoint was there until the other had begun, and made its own.
    kept = {checkpoint.path for trial in search.state.trials for checkpoint, _ in trial.checkpoints}
    assert not kept & set(search.deleted)
    assert "/search/1/checkpoint_000001" in search.deleted


class Never(TrialScheduler):
    """Lets nothing run."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        return None


class Silent(Searcher):
    """Suggests nothing."""

    def suggest(self, trial_id: str) -> None:
        return None


def test_a_search_in_which_nothing_may_run_is_an_error() -> None:
    search = SimulatedSearch(five, {"x": 1}, scheduler=Never()).run()
    assert isinstance(search.state.error, SearchStalledError)
    assert "Never" in str(search.state.error)


def test_a_searcher_that_never_suggests_is_an_error() -> None:
    search = SimulatedSearch(five, {"x": 1}, searcher=Silent()).run()
    assert isinstance(search.state.error, SearchStalledError)
    assert "Silent" in str(search.state.error)


def test_an_interrupt_leaves_trials_to_go_on_later() -> None:
    search = SimulatedSearch(five, {"x": grid_search([1, 2, 3])})
    search.run(until=2.5)
    search._carry_out(search.state.interrupt())
    assert search.state.is_over
    assert [trial.status for trial in search.state.trials] == [PENDING] * len(search.state.trials)
    assert search.state.trials[0].checkpoint is not None


class Notes(Searcher):
    """An ordered searcher: notes what it is asked and told."""

    ordered = True

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self.numbers[trial_id] = len(self.numbers)
        self.notes.append(f"ask {self.numbers[trial_id]}")
        return {"x": self.numbers[trial_id]}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.notes.append(f"result {self.numbers[trial_id]} {result['training_iteration']}")

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.notes.append(f"over {self.numbers[trial_id]} {error}")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_an_ordered_searcher_hears_the_same_whatever_the_timing(seed: int) -> None:
    chance = random.Random(seed)

    def uneven(config: dict[str, Any], start: int) -> Iterator[Step]:
        for _ in range(2):
            yield chance.random() * 10, {"loss": config["x"]}, False
        if config["x"] == 4:
            raise ValueError("no")

    def notes(trainable: Any) -> list[str]:
        searcher = Notes()
        SimulatedSearch(trainable, {}, samples=12, searcher=searcher, limit=3, cpus=4).run()
        return searcher.notes

    def even(config: dict[str, Any], start: int) -> Iterator[Step]:
        yield 1.0, {"loss": config["x"]}, False
        yield 1.0, {"loss": config["x"]}, False
        if config["x"] == 4:
            raise ValueError("no")

    assert notes(uneven) == notes(even)
    assert notes(even)[:6] == ["ask 0", "ask 1", "ask 2", "result 0 1", "result 0 2", "over 0 False"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_whatever_fails_each_trial_ends_once(seed: int, cpus: int, reuse: bool) -> None:
    chance = random.Random(seed)

    def wild(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(start, 6):
            luck = chance.random()
            if luck < 0.05:
                raise Crash("killed")
            if luck < 0.1:
                raise ValueError("no")
            yield luck, {"loss": luck, "step": step}, luck > 0.4

    search = SimulatedSearch(
        wild,
        {"x": uniform(0, 1)},
        samples=15,
        cpus=cpus,
        reuse=reuse,
        max_failures=2,
        scheduler=TakeTurns() if seed % 2 else None,
        checkpoints=CheckpointConfig(num_to_keep=1 + seed % 3),
    ).run()
    assert len(search.state.trials) == 15
    for trial in search.state.trials:
        ends = [line for line in search.story if line in (f"completed {trial.number}", f"failed {trial.number}")]
        assert len(ends) == 1
        assert trial.is_finished()
    assert not set(search.deleted) & {c.path for trial in search.state.trials for c, _ in trial.checkpoints}
    assert len(search.state.slots) == 0
