"""Work ahead: when processes get their next trial early, and what becomes of it. On a virtual clock, where words take their time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tune.logic.simulated_search import Crash, SimulatedSearch, Step

from shoal.tune import uniform
from shoal.tune._internal.logic import effects as act
from shoal.tune.experiment.trial import ERROR, PENDING, TERMINATED, Trial
from shoal.tune.schedulers import ASHAScheduler, FIFOScheduler
from shoal.tune.schedulers.trial_scheduler import TrialScheduler
from shoal.tune.search import ConcurrencyLimiter, Searcher

LATENCY = 0.005
SPACE = {"x": uniform(0, 1)}


def short(config: dict[str, Any], start: int) -> Iterator[Step]:
    yield 0.05, {"loss": config["x"], "last": True}, False


def searched(trainable: Any = short, samples: int = 100, **options: Any) -> SimulatedSearch:
    options.setdefault("may_work_ahead", True)
    return SimulatedSearch(trainable, SPACE, samples=samples, latency=LATENCY, **options).run()


def test_between_short_trials_there_is_no_way_there_and_back() -> None:
    ideal = 100 * 0.05 / 2
    assert searched(may_work_ahead=False).now > 1.19 * ideal
    search = searched()
    assert search.now < 1.03 * ideal
    assert search.begun_ahead >= 100 - 4  # nobody knows at first how long trials are


def test_it_changes_nothing_but_the_time() -> None:
    def told(search: SimulatedSearch) -> list[Any]:
        return [(trial.config, trial.last_result["loss"], trial.status) for trial in search.state.trials]

    assert told(searched()) == told(searched(may_work_ahead=False)) == told(searched(cpus=5))


def test_trials_that_report_several_times_are_followed_at_once_too() -> None:
    def thrice(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(3):
            yield 0.01, {"loss": step}, False

    search = searched(thrice, 40)
    assert search.begun_ahead >= 40 - 4
    assert [trial.last_result["training_iteration"] for trial in search.state.trials] == [3] * 40


def test_one_that_goes_on_longer_than_others_before_it_begins_nothing() -> None:
    def more_and_more(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(counts.pop(0)):
            yield 0.01, {"loss": step}, False

    counts = [1, 1, 1, 2, 1, 4, 1, 1, 3, 1] * 4
    search = searched(more_and_more, 40)
    iterations = [trial.last_result["training_iteration"] for trial in search.state.trials]
    assert sorted(iterations) == sorted([1, 1, 1, 2, 1, 4, 1, 1, 3, 1] * 4)
    assert sum(line.startswith("run ") for line in search.story) == 40
    assert search.begun_ahead > 0


def test_nothing_waits_behind_a_trial_that_turns_out_to_be_long() -> None:
    def long_once(config: dict[str, Any], start: int) -> Iterator[Step]:
        seconds = 1000.0 if len(begun) == 6 else 0.05
        begun.append(config)
        yield seconds, {"loss": 0, "last": True}, False

    begun: list[Any] = []
    search = searched(long_once, 9)
    ends = [float(line.split()[0]) for line in search.trace if "completed" in line]
    assert sorted(ends)[-2] < 1 < 1000 < search.now < 1001
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 9
    assert sum(line.startswith("run ") for line in search.story) == 9


def test_long_trials_are_not_handed_out_ahead() -> None:
    def long(config: dict[str, Any], start: int) -> Iterator[Step]:
        yield 1.5, {"loss": 0, "last": True}, False

    assert searched(long, 10).begun_ahead == 0


class Adaptive(Searcher):
    """Notes what it knows whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, int] = {}
        self.over = 0
        self.known: list[int] = []

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self.asked[trial_id] = len(self.asked)
        self.known.append(self.over)
        return {"x": float(len(self.asked))}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.over += 1


class Ordered(Adaptive):
    """Demands its order."""

    ordered = True


def test_a_searcher_that_learns_is_asked_when_a_place_is_free_and_no_earlier() -> None:
    searcher = Adaptive()
    search = searched(samples=20, searcher=searcher, limit=2)
    assert search.begun_ahead == 0
    assert searcher.known == [0, 0, *range(1, 19)]


@pytest.mark.parametrize("window", [2, 4])
def test_a_searcher_that_demands_an_order_knows_the_same_with_and_without(window: int) -> None:
    def known(may: bool) -> tuple[list[int], int]:
        searcher = Ordered()
        search = searched(samples=20, searcher=searcher, limit=window, cpus=2, may_work_ahead=may)
        return searcher.known, search.begun_ahead

    (ahead, begun), (not_ahead, none) = known(True), known(False)
    assert ahead == not_ahead == [max(0, number - window + 1) for number in range(20)]
    assert (begun > 0, none) == (window > 2, 0)


def test_a_batch_may_be_asked_for_early() -> None:
    def known(may: bool, cpus: int) -> tuple[list[int], int]:
        searcher = Adaptive()
        batches = ConcurrencyLimiter(searcher, 8, batch=True)
        search = searched(samples=24, searcher=batches, cpus=cpus, may_work_ahead=may)
        return searcher.known, search.begun_ahead

    assert known(True, 2)[0] == known(False, 2)[0] == known(True, 5)[0] == [0] * 8 + [8] * 8 + [16] * 8
    assert known(True, 2)[1] > 0


class Reversed(FIFOScheduler):
    """Has a mind of its own about who is next."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == PENDING]
        return waiting[-1] if waiting else None


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": Reversed()},
        {"time_budget": 100.0},
        {"fail_fast": True},
        {"stopper": type("S", (), {"__call__": lambda *_: False, "stop_all": lambda _: False})()},
        {"reuse": False},
    ],
    ids=["scheduler", "time budget", "fail_fast", "stopper", "isolated"],
)
def test_what_may_want_something_else_next_is_not_forestalled(options: dict[str, Any]) -> None:
    search = searched(samples=10, **options)
    assert search.begun_ahead == 0
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 10


def test_asha_lets_trials_be_handed_out_ahead() -> None:
    scheduler = ASHAScheduler(metric="loss", mode="min", max_t=10)
    assert searched(scheduler=scheduler).begun_ahead > 50


class EndsOneThatIsHeld(TrialScheduler):
    """Ends the first pending trial that it sees from trial 5 on."""

    ended: Trial | None = None

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        waiting = [one for one in tune_controller.get_live_trials() if one.status == PENDING]
        if trial.number >= 5 and self.ended is None and waiting:
            self.ended = waiting[-1]
            tune_controller.stop_trial(waiting[-1])


def test_a_trial_that_is_ended_while_it_is_held_does_not_count_as_run() -> None:
    scheduler = EndsOneThatIsHeld()
    search = searched(samples=20, scheduler=scheduler)
    ended = scheduler.ended
    assert ended is not None
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 20
    assert not ended.last_result
    assert [line for line in search.story if line.endswith(f" {ended.number}")] == [f"completed {ended.number}"]
    assert len(search.state.slots) == 0


def test_what_cannot_travel_fails_by_itself() -> None:
    search = SimulatedSearch(short, SPACE, samples=10, latency=LATENCY, may_work_ahead=True)
    carry_out = search._carry_out

    def carried_out(effects: list[act.Effect]) -> None:
        for effect in effects:
            number = getattr(getattr(getattr(effect, "assigned", None), "trial", None), "number", None)
            if isinstance(effect, act.HoldTrial) and number == 6:
                search.state.cannot_hold(effect.executor)
            elif isinstance(effect, act.RunTrial) and number == 6:
                carried_out(search.state.executor_lost(effect.executor, ValueError("a lock"), search.now))
            else:
                carry_out([effect])

    search._carry_out = carried_out  # type: ignore[method-assign]
    search.run()
    assert [trial.status for trial in search.state.trials] == [TERMINATED] * 6 + [ERROR] + [TERMINATED] * 3
    assert str(search.state.trials[6].error) == "a lock"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4), st.sampled_from([0.0, 0.001, 0.02, 0.2]))
def test_whatever_fails_each_trial_ends_once_and_runs_once_a_try(seed: int, cpus: int, latency: float) -> None:
    chance = random.Random(seed)

    def wild(config: dict[str, Any], start: int) -> Iterator[Step]:
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            luck = chance.random()
            if luck < 0.05:
                raise Crash("killed")
            if luck < 0.1:
                raise ValueError("no")
            yield luck if luck < 0.9 else 5.0, {"loss": luck, "last": luck > 0.5}, False

    search = SimulatedSearch(
        wild, SPACE, samples=25, cpus=cpus, max_failures=1, latency=latency, may_work_ahead=True, seed=seed
    ).run()
    assert len(search.state.trials) == 25
    for trial in search.state.trials:
        ends = [line for line in search.story if line in (f"completed {trial.number}", f"failed {trial.number}")]
        runs = search.story.count(f"run {trial.number}")
        assert len(ends) == 1
        assert runs == trial.num_failures + (trial.status == TERMINATED)
        assert search.story.count(f"started {trial.number}") == runs
        assert trial.is_finished()
    assert len(search.state.slots) == 0
