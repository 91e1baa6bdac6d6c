"""The median rule by hand."""

from __future__ import annotations

import math
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trials import Plan, SimulatedSearch, curve, line

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers import MedianStoppingRule


def rule(**more: object) -> MedianStoppingRule:
    arguments = {
        "time_attr": "training_iteration",
        "metric": "m",
        "mode": "max",
        "grace_period": 0,
        "min_samples_required": 1,
    }
    return MedianStoppingRule(**{**arguments, **more})  # type: ignore[arg-type]


def told(scheduler: MedianStoppingRule, *reports: tuple[str, int, float]) -> list[str]:
    search = SimulatedSearch(scheduler, [])
    trials: dict[str, Trial] = {}
    decisions = []
    for name, time, value in reports:
        if name not in trials:
            trials[name] = Trial(name, len(trials), {})
            scheduler.on_trial_add(search, trials[name])
        decisions.append(scheduler.on_trial_result(search, trials[name], {"training_iteration": time, "m": value}))
    return decisions


def test_the_best_so_far_is_compared_with_the_median_of_averages_up_to_then() -> None:
    # Averages at 2: (2 + 4) / 2 = 3, (6 + 8) / 2 = 7, (1 + 3) / 2 = 2; their median is 3.
    others = [("a", 1, 2.0), ("a", 2, 4.0), ("a", 3, 99.0), ("b", 1, 6.0), ("b", 2, 8.0), ("c", 1, 1.0), ("c", 2, 3.0)]
    lenient = {"grace_period": 1, "min_samples_required": 3}
    assert told(rule(**lenient), *others, ("d", 2, 2.9))[-1] == "STOP"
    assert told(rule(**lenient), *others, ("d", 2, 3.0))[-1] == "CONTINUE"
    assert told(rule(**lenient), *others, ("d", 1, 5.0), ("d", 2, 0.0))[-1] == "CONTINUE"  # its best is 5
    assert told(rule(**lenient, mode="min"), *others, ("d", 2, 3.1))[-1] == "STOP"


def test_reports_in_the_grace_period_neither_stop_nor_count() -> None:
    reports = [("a", 1, 50.0), ("a", 2, 50.0), ("a", 3, 2.0), ("b", 1, 1.0), ("b", 3, 3.0)]
    assert told(rule(grace_period=3), *reports) == ["CONTINUE"] * 5
    assert told(rule(grace_period=1), *reports)[3] == "STOP"


def test_too_few_others_stop_nobody() -> None:
    reports = [("a", 1, 9.0), ("b", 1, 9.0), ("c", 1, 1.0)]
    assert told(rule(min_samples_required=3), *reports)[-1] == "CONTINUE"
    assert told(rule(min_samples_required=2), *reports)[-1] == "STOP"


def test_others_that_have_not_come_as_far_do_not_count() -> None:
    assert told(rule(), ("a", 1, 9.0), ("b", 2, 1.0))[-1] == "CONTINUE"


def test_while_there_are_too_few_trials_take_turns() -> None:
    plans = [line(1.0, steps=3), line(2.0, steps=3)]
    search = SimulatedSearch(rule(min_samples_required=5), plans, slots=1)
    search._make()
    search._make()
    search.run()
    assert [line.split()[1] for line in search.story if "reports" in line] == ["trainable_t0000", "trainable_t0001"] * 2


def test_without_hard_stop_those_below_go_on_last() -> None:
    plans = [curve(*[5.0] * 4), curve(*[1.0] * 4), curve(*[6.0] * 4)]
    assert SimulatedSearch(rule(), plans, slots=1).run().iterations() == [4, 1, 4]
    search = SimulatedSearch(rule(hard_stop=False), plans, slots=1).run()
    assert search.iterations() == [4, 4, 4]
    assert search.story[-1].endswith("trainable_t0001 is TERMINATED")


def test_nan_is_stopped() -> None:
    assert told(rule(), ("a", 1, -1e9), ("b", 1, math.nan))[-1] == "STOP"
    assert told(rule(), ("a", 1, math.nan), ("b", 1, -1e9))[-1] == "CONTINUE"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"grace_period": -1}, "grace_period is -1"), ({"min_samples_required": 0}, "min_samples_required is 0")],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        rule(**arguments)


plans = st.lists(
    st.builds(
        lambda slope, pace, fails, steps: line(slope, duration=lambda iteration: pace, fails_at=fails, steps=steps),
        st.floats(-5, 5) | st.just(math.nan),
        st.floats(0.1, 10),
        st.frozensets(st.integers(1, 9), max_size=1),
        st.integers(1, 15),
    ),
    max_size=10,
)


@settings(max_examples=50)
@given(plans, st.integers(1, 4), st.booleans(), st.integers(1, 4))
def test_every_trial_ends_and_a_state_goes_on(trials: list[Plan], slots: int, hard: bool, samples: int) -> None:
    def make() -> MedianStoppingRule:
        return rule(hard_stop=hard, min_samples_required=samples, grace_period=2)

    once = SimulatedSearch(make(), trials, slots).run()
    assert once.iterations() == SimulatedSearch(make(), trials, slots, remade=make).run().iterations()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([1, 2, 3, 4, 2.5]), st.integers(-3, 3) | st.just(math.nan)),
        max_size=30,
    )
)
def test_the_median_is_the_median_of_all_curves(reports: list[tuple[int, float, float]]) -> None:
    """In any order of reports, also when trials go back; against the definition, computed anew from all reports each time."""
    scheduler = rule(hard_stop=False, grace_period=2)
    search = SimulatedSearch(scheduler, [])
    trials = [Trial(str(number), number, {}) for number in range(5)]
    curves: dict[int, dict[float, float]] = {}
    latest: dict[int, float] = {}
    for trial in trials:
        scheduler.on_trial_add(search, trial)
    for number, time, value in reports:
        scheduler.on_trial_result(search, trials[number], {"training_iteration": time, "m": value})
        own = curves.setdefault(number, {})
        for later in [at for at in own if at >= time]:
            del own[later]
        if time >= 2:
            own[time] = -math.inf if math.isnan(value) else value
        latest[number] = time
        averages = []
        for other, reported in curves.items():
            until = [score for at, score in reported.items() if at <= time]
            if other != number and latest[other] >= time:
                averages.append(sum(until) / len(until) if until else -math.inf)
        count, middle = scheduler._others(scheduler._curves[str(number)], time)
        assert count == len(averages)
        assert middle == pytest.approx(median(averages) if averages else -math.inf)
