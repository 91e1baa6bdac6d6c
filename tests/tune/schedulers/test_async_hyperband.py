"""ASHA: rungs, cutoffs computed by hand, and that nobody is ever in the best part and stopped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trials import SimulatedSearch, curve, line

from shoal.tune.exceptions import InvalidArgumentError, MetricNotReportedError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers import ASHAScheduler, AsyncHyperBandScheduler
from shoal.tune.schedulers.async_hyperband import AsyncHyperBandScheduler as OfItsModule


def asha(**more: object) -> ASHAScheduler:
    return ASHAScheduler(**{"metric": "m", "mode": "max", **more})  # type: ignore[arg-type]


def test_one_class_has_both_of_rays_names() -> None:
    assert ASHAScheduler is AsyncHyperBandScheduler is OfItsModule


def test_rungs_grow_by_the_reduction_factor_and_each_bracket_leaves_one_more_out() -> None:
    assert asha(max_t=100, grace_period=1, reduction_factor=4).rungs() == [[1, 4, 16, 64]]
    assert asha(max_t=256, grace_period=1, reduction_factor=4, brackets=3).rungs() == [
        [1, 4, 16, 64, 256],
        [4, 16, 64, 256],
        [16, 64, 256],
    ]
    assert asha(max_t=1000, grace_period=10, reduction_factor=10).rungs() == [[10, 100, 1000]]


def test_decisions_of_one_rung_by_hand() -> None:
    """Half goes on: the cutoff is the median of those that were there before. 5 | 3 < 5 | 4 = median(3, 5) | 3.9 < 4 | 6."""
    scheduler = asha(reduction_factor=2, max_t=2)
    search = SimulatedSearch(scheduler, [])
    decisions = []
    for number, value in enumerate([5.0, 3.0, 4.0, 3.9, 6.0]):
        trial = Trial(f"t{number}", number, {})
        scheduler.on_trial_add(search, trial)
        decisions.append(scheduler.on_trial_result(search, trial, {"training_iteration": 1, "m": value}))
    assert decisions == ["CONTINUE", "STOP", "CONTINUE", "STOP", "CONTINUE"]


def test_min_prefers_less() -> None:
    search = SimulatedSearch(asha(mode="min", reduction_factor=2, max_t=4), [line(1.0), line(2.0), line(0.5)], slots=1)
    assert search.run().iterations() == [4, 1, 4]


def test_best_first_leaves_the_others_at_the_first_rung() -> None:
    search = SimulatedSearch(asha(max_t=64), [line(slope) for slope in (9, 8, 7, 6, 5, 4, 3, 2)], slots=1)
    assert search.run().iterations() == [64, 1, 1, 1, 1, 1, 1, 1]


def test_trials_go_on_beyond_max_t_when_asked_to() -> None:
    plans = [curve(*[1.0] * 30)]
    assert SimulatedSearch(asha(max_t=4), plans).run().iterations() == [4]
    assert SimulatedSearch(asha(max_t=4, stop_last_trials=False), plans).run().iterations() == [30]


def test_a_trial_that_jumps_over_rungs_is_compared_at_the_highest_only() -> None:
    scheduler = asha(max_t=64)
    search = SimulatedSearch(scheduler, [])
    first, second = Trial("a", 0, {}), Trial("b", 1, {})
    scheduler.on_trial_add(search, first)
    scheduler.on_trial_add(search, second)
    assert scheduler.on_trial_result(search, first, {"training_iteration": 20, "m": 10.0}) == "CONTINUE"
    assert scheduler.on_trial_result(search, second, {"training_iteration": 1, "m": 1.0}) == "CONTINUE"
    assert scheduler.on_trial_result(search, first, {"training_iteration": 21, "m": 0.0}) == "CONTINUE"
    assert scheduler.on_trial_result(search, second, {"training_iteration": 16, "m": 1.0}) == "STOP"


def test_nan_is_worse_than_anything() -> None:
    nan = curve(*[math.nan] * 8)
    search = SimulatedSearch(asha(max_t=8), [line(-5.0), nan, line(-4.0)], slots=1)
    assert search.run().iterations() == [8, 1, 8]
    only = SimulatedSearch(asha(max_t=8), [nan, nan, line(-1.0), nan], slots=1)
    assert only.run().iterations() == [8, 8, 8, 1]


def test_brackets_are_chosen_by_the_seed_and_the_number() -> None:
    def places(seed: int) -> list[int]:
        scheduler = asha(max_t=256, brackets=3, seed=seed)
        search = SimulatedSearch(scheduler, [])
        for number in range(60):
            scheduler.on_trial_add(search, Trial(f"t{number}", number, {}))
        return [bracket for bracket, _ in scheduler.get_state()["_places"].values()]

    assert places(0) == places(0) != places(1)
    counts = [places(0).count(bracket) for bracket in range(3)]
    assert counts[0] > counts[1] > counts[2] > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mode": "maximum"}, "mode is 'maximum'; give 'min' or 'max'"),
        ({"max_t": 0}, "max_t is 0"),
        ({"max_t": "100"}, "max_t is '100'"),
        ({"grace_period": 200}, "grace_period is 200 and max_t is 100"),
        ({"reduction_factor": 1}, "reduction_factor is 1; give a number > 1"),
        ({"brackets": 0}, "brackets is 0"),
        ({"brackets": 9}, "at most 4"),
        ({"time_attr": ""}, "time_attr is ''"),
        ({"metric": 3}, "metric is 3"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text.replace("(", r"\(")):
        asha(**arguments)


def test_metric_and_mode_come_from_the_search_or_the_scheduler_and_must_be_there() -> None:
    scheduler = ASHAScheduler()
    with pytest.raises(InvalidArgumentError, match="has no metric; give metric= to it or to TuneConfig"):
        scheduler.on_trial_add(SimulatedSearch(scheduler, []), Trial("a", 0, {}))
    assert scheduler.set_search_properties("loss", "min") and scheduler.metric == "loss"
    assert scheduler.set_search_properties("loss", "min") and scheduler.set_search_properties(None, None)
    assert not scheduler.set_search_properties("accuracy", "min")
    assert not scheduler.set_search_properties("loss", "max")
    with pytest.raises(InvalidArgumentError, match="mode is 'best'"):
        ASHAScheduler().set_search_properties("loss", "best")


def test_what_is_missing_is_named_with_what_is_close() -> None:
    scheduler = asha(metric="loss", time_attr="iteration")
    trial, search = Trial("a", 0, {}), SimulatedSearch(scheduler, [])
    scheduler.on_trial_add(search, trial)
    with pytest.raises(
        MetricNotReportedError,
        match=r"without 'iteration', the scheduler's time_attr. Did you mean 'training_iteration'",
    ):
        scheduler.on_trial_result(search, trial, {"training_iteration": 1, "loss": 1.0})
    with pytest.raises(InvalidArgumentError, match="reported 'low' as 'loss'"):
        scheduler.on_trial_result(search, trial, {"iteration": 1, "loss": "low"})


def test_reports_without_the_metric_decide_nothing_but_the_end() -> None:
    scheduler = asha(metric="loss", max_t=8)
    trial, search = Trial("a", 0, {}), SimulatedSearch(scheduler, [])
    scheduler.on_trial_add(search, trial)
    assert scheduler.on_trial_result(search, trial, {"training_iteration": 1}) == "CONTINUE"
    assert scheduler.on_trial_result(search, trial, {"training_iteration": 8}) == "STOP"


def test_nested_metrics() -> None:
    scheduler = asha(metric="val/loss", mode="min", reduction_factor=2)
    trial, search = Trial("a", 0, {}), SimulatedSearch(scheduler, [])
    scheduler.on_trial_add(search, trial)
    assert scheduler.on_trial_result(search, trial, {"training_iteration": 1, "val": {"loss": 1.0}}) == "CONTINUE"
    assert scheduler.on_trial_result(search, trial, {"training_iteration": 2, "val/loss": 1.0}) == "CONTINUE"


plans = st.lists(
    st.builds(
        lambda slope, pace, fails, retries, steps: line(
            slope, duration=lambda iteration: pace, fails_at=fails, retries=retries, steps=steps
        ),
        st.floats(-5, 5) | st.just(math.nan),
        st.floats(0.1, 10),
        st.frozensets(st.integers(1, 20), max_size=3),
        st.integers(0, 3),
        st.integers(1, 40),
    ),
    max_size=14,
)


@settings(max_examples=40)
@given(plans, st.integers(1, 5), st.sampled_from([2, 3, 2.5]))
def test_every_trial_ends_and_nobody_in_the_best_part_is_stopped(trials: list, slots: int, factor: float) -> None:
    class Checked(ASHAScheduler):
        def on_trial_result(self, tune_controller: object, trial: Trial, result: dict) -> str:  # type: ignore[override]
            before = [list(rung) for rung in self._scores[0]]
            decision = super().on_trial_result(tune_controller, trial, result)  # type: ignore[arg-type]
            for then, now in zip(before, self._scores[0], strict=True):
                if len(then) < len(now) and decision == self.STOP and not math.isnan(result["m"]):
                    better = sum(1 for other in then if other > self._score(trial, result))
                    assert better >= max(1, int(len(then) / factor)), "one of the best was stopped"
            return decision

    search = SimulatedSearch(Checked(metric="m", mode="max", max_t=20, reduction_factor=factor), trials, slots)
    assert all(iterations <= 20 for iterations in search.run().iterations())


@settings(max_examples=40)
@given(plans, st.integers(1, 5))
def test_a_search_goes_on_from_its_state(trials: list, slots: int) -> None:
    def make() -> ASHAScheduler:
        return asha(max_t=20, reduction_factor=2, brackets=2)

    once = SimulatedSearch(make(), trials, slots).run()
    again = SimulatedSearch(make(), trials, slots, remade=make).run()
    assert str(once.story) == str(again.story)
