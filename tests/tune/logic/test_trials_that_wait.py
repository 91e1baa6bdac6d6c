"""Trials that wait for one another: no order of reports, ends and deaths leaves them waiting for ever. On a virtual clock."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.tune.logic.simulated_search import Crash, SimulatedSearch, Step

from shoal.tune import Stopper, uniform
from shoal.tune.schedulers import HyperBandForBOHB, HyperBandScheduler, PopulationBasedTraining

LATENCY = 0.01


def searched(
    scheduler: Any, chance: random.Random, samples: int, deadly: float = 0.0, stride: int = 1, **options: Any
) -> SimulatedSearch:
    """Runs trials whose steps take as long as a word to them and back, more or less. Each step kills some of them."""

    def climb(config: dict[str, Any], start: int) -> Iterator[Step]:
        for step in range(start + 1, 13):
            if chance.random() < deadly:
                raise Crash("killed")
            yield chance.random() * 3 * LATENCY, {"score": config["lr"] * step, "t": step * stride}, True

    options.setdefault("cpus", 4)
    space = {"lr": uniform(0, 9)}
    search = SimulatedSearch(climb, space, samples=samples, scheduler=scheduler, latency=LATENCY, **options).run()
    if search.state.error is not None:
        raise search.state.error
    assert len(search.state.trials) == samples
    assert all(trial.is_finished() for trial in search.state.trials)
    return search


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
@example(35)
@example(48)
def test_a_bracket_does_not_wait_for_trials_that_were_told_to_end(seed: int) -> None:
    scheduler = HyperBandForBOHB("t", "score", "max", max_t=9)
    search = searched(scheduler, random.Random(seed), 28, seed=seed)
    reached = sorted(trial.last_result["t"] for trial in search.state.trials)
    assert reached == [1] * (6 + 6) + [3] * (2 + 4 + 2 + 1) + [9] * (1 + 1 + 3 + 1 + 1)


class EndsEarly(Stopper):
    """Ends each trial at a time of its own."""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(result["t"] >= 3 + int(result["config"]["lr"]))

    def stop_all(self) -> bool:
        return False


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
@example(0)
@example(1)
def test_a_population_does_not_wait_for_trials_that_were_told_to_end(seed: int) -> None:
    mutations = {"lr": uniform(0, 9)}
    scheduler = PopulationBasedTraining(
        "t", "score", "max", perturbation_interval=2, synch=True, hyperparam_mutations=mutations
    )
    searched(scheduler, random.Random(seed), 6, seed=seed, stopper=EndsEarly())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([1, 9]))
@example(25, 1, 9)
@example(143, 2, 9)
def test_a_bracket_goes_on_when_the_last_process_is_lost(seed: int, cpus: int, stride: int) -> None:
    chance = random.Random(seed)
    scheduler = HyperBandScheduler("t", "score", "max", max_t=9)
    searched(scheduler, chance, chance.randint(1, 20), 0.2, stride, cpus=cpus, max_failures=chance.choice([0, -1]))
