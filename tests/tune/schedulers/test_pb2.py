"""PB2: what its model learns, and that it keeps PBT's promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simulated_trials import Plan, SimulatedSearch

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.pb2 import PB2

pytest.importorskip("sklearn")


def pb2(**more: Any) -> PB2:
    arguments: dict[str, Any] = {
        "time_attr": "training_iteration",
        "metric": "m",
        "mode": "max",
        "perturbation_interval": 2,
        "hyperparam_bounds": {"x": [0.0, 1.0]},
        "quantile_fraction": 0.25,
        "log_config": False,
        "synch": True,
    }
    return PB2(**{**arguments, **more})


def hill(x: float, steps: int = 18, **more: Any) -> Plan:
    """Its score grows fastest with x at 0.7."""
    return Plan(
        lambda iteration, state, config: state + 1 - (config["x"] - 0.7) ** 2, steps=steps, config={"x": x}, **more
    )


def test_it_learns_where_scores_improve_most() -> None:
    plans = [hill(x) for x in (0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 0.05, 0.95)]
    search = SimulatedSearch(pb2(), plans, slots=8).run()
    assert sum(abs(trial.config["x"] - 0.7) < 0.15 for trial in search.trials) >= 6


def test_what_improves_matters_not_what_is_high() -> None:
    from shoal.tune.schedulers.pb2_model import most_promising

    chance = np.random.default_rng(0)
    x = chance.random(60)
    samples = np.column_stack([np.arange(60.0), chance.random(60) + 3 * x, x])
    new = most_promising(
        samples, 5 - (x - 0.3) ** 2 * 50, np.array([60.0, 5.0]), np.empty((0, 1)), np.array([[0.0, 1.0]]), chance
    )
    assert abs(new[0] - 0.3) < 0.2


def test_pending_copies_are_kept_apart() -> None:
    from shoal.tune.schedulers.pb2_model import most_promising

    samples = np.array([[0.0, 1.0, 0.4], [1.0, 1.0, 0.45], [2.0, 1.0, 0.5], [3.0, 1.0, 0.55]])
    now, bounds = np.array([4.0, 1.0]), np.array([[0.0, 1.0]])
    chosen: list[float] = []
    for _ in range(4):
        pending = np.array(chosen).reshape(-1, 1)
        chosen.append(most_promising(samples, np.zeros(4), now, pending, bounds, np.random.default_rng(0))[0])
    assert len({round(x, 1) for x in chosen}) > 1


def test_bounds_nest_and_whole_numbers_stay_whole() -> None:
    def make() -> PB2:
        return pb2(hyperparam_bounds={"x": [0.0, 1.0], "net": {"layers": [1, 9]}})

    trial = Trial("a", 0, {"x": 0.5})
    make().on_trial_add(SimulatedSearch(make(), []), trial)
    assert 1 <= trial.config["net"]["layers"] <= 9 and type(trial.config["net"]["layers"]) is int
    search = SimulatedSearch(make(), [hill(0.1), hill(0.3), hill(0.5), hill(0.7)], remade=make).run()
    assert len(search.exploits) > 5
    for _, _, config in search.exploits:
        assert type(config["net"]["layers"]) is int and 1 <= config["net"]["layers"] <= 9 and 0 <= config["x"] <= 1


@settings(max_examples=5, phases=[Phase.generate])
@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4), st.integers(1, 4))
def test_synch_gives_the_same_at_any_timing(paces: list[float], slots: int) -> None:
    def search(paces: list[float], slots: int) -> SimulatedSearch:
        plans = [hill(0.2 * lr, 8, duration=lambda iteration, pace=pace: pace) for lr, pace in enumerate(paces)]
        return SimulatedSearch(pb2(), plans, slots).run()

    assert search([1.0] * 4, 4).exploits == search(paces, slots).exploits


def test_nan_does_not_reach_the_model() -> None:
    nan = Plan(lambda iteration, state, config: math.nan, steps=8, config={"x": 0.5})
    search = SimulatedSearch(pb2(), [nan, hill(0.3, 8), nan, hill(0.5, 8)]).run()
    assert all(0 <= config["x"] <= 1 for _, _, config in search.exploits)
    assert SimulatedSearch(pb2(), [nan, nan, nan]).run().iterations() == [8, 8, 8]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (None, "hyperparam_bounds is None"),
        ({"x": [1, 0]}, r"hyperparam_bounds\['x'\] is \[1, 0\]; give \[lower, upper\]"),
        ({"a": {"x": 3}}, r"hyperparam_bounds\['a'\]\['x'\] is 3"),
        ({"x": [0, 1, 2]}, "two numbers"),
    ],
)
def test_bounds_that_cannot_be(bounds: object, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        pb2(hyperparam_bounds=bounds)
