"""HyperBand: the paper's brackets, halving by hand, and that nobody waits for ever."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trials import Plan, SimulatedSearch, line

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import ERROR, Trial
from shoal.tune.schedulers import HyperBandForBOHB, HyperBandScheduler


def hyperband(**more: object) -> HyperBandScheduler:
    return HyperBandScheduler(**{"metric": "m", "mode": "max", **more})  # type: ignore[arg-type]


def test_brackets_of_the_papers_table() -> None:
    """Li et al. 2018, table 1: R = 81, η = 3."""
    assert hyperband(max_t=81, reduction_factor=3).band() == [
        (5, [81]),
        (8, [27, 81]),
        (15, [9, 27, 81]),
        (34, [3, 9, 27, 81]),
        (81, [1, 3, 9, 27, 81]),
    ]


def test_survivors_of_the_papers_table() -> None:
    """The number of trials n_i that reach each rung r_i, for all brackets of table 1."""
    chance = random.Random(0)
    plans = [line(chance.random(), duration=lambda iteration: chance.random()) for _ in range(143)]
    search = SimulatedSearch(hyperband(), plans, slots=7).run()
    iterations = search.iterations()
    survivors, first = [], 0
    for count, rungs in hyperband().band():
        survivors.append([sum(one >= rung for one in iterations[first : first + count]) for rung in rungs])
        first += count
    assert survivors == [[5], [8, 2], [15, 5, 1], [34, 11, 3, 1], [81, 27, 9, 3, 1]]


def test_the_best_survive() -> None:
    slopes = [3.0, 9.0, 1.0, 7.0, 5.0, 2.0, 8.0, 4.0, 6.0]
    plans = [line(100.0)] * 3 + [line(100.0)] * 5 + [line(slope) for slope in slopes]
    search = SimulatedSearch(hyperband(max_t=9), plans, slots=2).run()
    assert search.iterations()[8:] == [1, 9, 1, 3, 1, 1, 3, 1, 1]


def test_odd_ends_are_exact() -> None:
    assert hyperband(max_t=100, reduction_factor=3).band()[-1] == (81, [1, 3, 11, 33, 100])
    assert hyperband(max_t=1000, reduction_factor=10).band()[-1] == (1000, [1, 10, 100, 1000])
    assert hyperband(max_t=16, reduction_factor=2.5).band()[-1] == (16, [1, 2, 6, 16])


def test_bohb_begins_with_the_bracket_that_compares_first_and_tells_budgets() -> None:
    scheduler = HyperBandForBOHB(metric="m", mode="max", max_t=9)
    assert scheduler.band() == [(9, [1, 3, 9]), (5, [3, 9]), (3, [9])]
    search, trial = SimulatedSearch(scheduler, []), Trial("a", 0, {})
    scheduler.on_trial_add(search, trial)
    early, at_rung = {"training_iteration": 0.5, "m": 1.0}, {"training_iteration": 1, "m": 1.0}
    scheduler.on_trial_result(search, trial, early)
    assert scheduler.on_trial_result(search, trial, at_rung) == "PAUSE"
    assert (early["hyperband_info"], at_rung["hyperband_info"]) == ({}, {"budget": 1})


def test_fewer_trials_than_a_bracket_takes_are_halved_all_the_same() -> None:
    plans = [line(9.0)] * 3 + [line(slope) for slope in (1.0, 2.0, 3.0)]
    assert SimulatedSearch(hyperband(max_t=9), plans, slots=2).run().iterations() == [9, 9, 9, 3, 3, 9]


def test_paused_trials_that_keep_others_from_beginning_do_not_wait_for_them() -> None:
    plans = [line(float(number)) for number in range(17)]
    iterations = SimulatedSearch(hyperband(max_t=9), plans, slots=2, concurrent=2).run().iterations()
    assert max(iterations) == 9 and len(iterations) == 17


def test_trials_go_on_beyond_max_t_when_asked_to() -> None:
    plans = [line(1.0, steps=20)] * 3 + [line(float(number), steps=20) for number in range(5)]
    search = SimulatedSearch(hyperband(max_t=9, stop_last_trials=False), plans).run()
    assert search.iterations() == [20, 20, 20, 3, 3, 3, 3, 20]


def test_nan_does_not_survive() -> None:
    nan = Plan(lambda iteration, state, config: math.nan)
    plans = [line(9.0)] * 3 + [nan, line(-1.0), nan, nan, nan]
    assert SimulatedSearch(hyperband(max_t=9), plans).run().iterations()[3:] == [3, 9, 3, 3, 3]


def test_who_fails_leaves_its_place_empty_and_is_not_waited_for() -> None:
    plans = [line(9.0)] * 3 + [
        line(float(number), fails_at=frozenset({3} if number > 2 else ())) for number in range(5)
    ]
    search = SimulatedSearch(hyperband(max_t=9), plans).run()
    assert search.iterations()[3:] == [3, 3, 9, 2, 2]
    assert [trial.status for trial in search.trials[6:]] == [ERROR, ERROR]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mode": "up"}, "mode is 'up'"),
        ({"max_t": 0}, "max_t is 0"),
        ({"reduction_factor": 1}, "reduction_factor is 1"),
        ({"max_t": 2, "reduction_factor": 3}, "no trial would ever be compared"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        hyperband(**arguments)


plans = st.lists(
    st.builds(
        lambda slope, pace, fails, retries, steps: line(
            slope, duration=lambda iteration: pace, fails_at=fails, retries=retries, steps=steps
        ),
        st.floats(-5, 5) | st.just(math.nan),
        st.floats(0.1, 10),
        st.frozensets(st.integers(1, 9), max_size=2),
        st.integers(0, 2),
        st.integers(1, 30),
    ),
    max_size=34,
)


@settings(max_examples=60)
@given(plans, st.integers(1, 5), st.none() | st.integers(1, 6))
def test_every_trial_ends_and_no_more_survive_than_may(trials: list[Plan], slots: int, concurrent: int | None) -> None:
    search = SimulatedSearch(hyperband(max_t=9), trials, slots, concurrent=concurrent).run()
    iterations = search.iterations()
    if concurrent is not None:
        return
    first = 0
    while first < len(iterations):
        for count, rungs in hyperband(max_t=9).band():
            bracket = iterations[first : first + count]
            for earlier, later in pairwise(rungs):
                began = sum(one >= earlier for one in bracket) if earlier != rungs[0] else len(bracket)
                assert sum(one > earlier for one in bracket) <= max(1, began // 3), (later, search.story)
            first += count


@settings(max_examples=30)
@given(plans, st.integers(1, 5))
def test_a_search_goes_on_from_its_state(trials: list[Plan], slots: int) -> None:
    def make() -> HyperBandScheduler:
        return hyperband(max_t=9)

    once = SimulatedSearch(make(), trials, slots).run()
    assert once.iterations() == SimulatedSearch(make(), trials, slots, remade=make).run().iterations()


def test_a_trial_that_was_over_when_the_state_was_stored_may_be_tried_again() -> None:
    search = SimulatedSearch(hyperband(max_t=9), [line(1.0), line(2.0)])
    search._make()
    search.scheduler.on_trial_error(search, search.trials[0])
    assert search.run().iterations() == [9, 9]
