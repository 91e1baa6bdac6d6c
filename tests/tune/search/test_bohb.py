"""TuneBOHB learns of each budget by itself, suggests from the largest that it knows enough of, and works with HyperBandForBOHB."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hpbandster", reason="hpbandster is not installed: TuneBOHB is NOT tested here")

import ConfigSpace

from shoal import tune
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.bohb import TuneBOHB

SPACE = {"x": tune.uniform(-1, 1)}
MODELLED = {"random_fraction": 0}


def started(**options: Any) -> TuneBOHB:
    searcher = TuneBOHB(seed=1, **options)
    assert searcher.set_search_properties("loss", "min", SPACE, num_samples=100)
    return searcher


def at_rung(budget: float, loss: float) -> dict[str, Any]:
    return {"loss": loss, "training_iteration": budget, "hyperband_info": {"budget": budget}}


def suggested(searcher: TuneBOHB, trial_id: str) -> Any:
    config = searcher.suggest(trial_id)
    assert isinstance(config, dict)
    return config["x"]


def seen(searcher: TuneBOHB, trials: int = 12) -> list[float]:
    """What it suggests without being told more."""
    return [suggested(searcher, f"next{number}") for number in range(trials)]


def spread(**options: Any) -> tuple[TuneBOHB, list[float]]:
    """A searcher with 30 live trials from one end of the space to the other."""
    points = [{"x": float(x)} for x in np.linspace(-1, 1, 30)]
    searcher = started(points_to_evaluate=points, **options)
    return searcher, [suggested(searcher, str(number)) for number in range(30)]


def at(searcher: TuneBOHB, budget: float, best: float, values: list[float]) -> None:
    """All of them come to a rung."""
    for number, x in enumerate(values):
        searcher.on_trial_result(str(number), at_rung(budget, abs(x - best)))


def test_suggestions_come_from_the_largest_budget_that_has_enough_results() -> None:
    searcher, values = spread(bohb_config=MODELLED)
    at(searcher, 1, -0.7, values)
    assert np.mean(seen(searcher)) == pytest.approx(-0.7, abs=0.2)
    at(searcher, 3, 0.7, values)
    assert np.mean(seen(searcher)) == pytest.approx(0.7, abs=0.2)
    for number in range(12):  # the smaller budget changes nothing any more
        searcher.on_trial_result(f"next{number}", at_rung(1, -1.0))
    assert np.mean(seen(searcher)) == pytest.approx(0.7, abs=0.2)


def test_some_suggestions_are_random() -> None:
    searcher, values = spread(bohb_config={"random_fraction": 0.5})
    at(searcher, 1, -0.7, values)
    assert 4 <= sum(x > 0 for x in seen(searcher, 40)) <= 20


def test_a_trial_counts_once_at_each_rung() -> None:
    one, other = started(), started()
    for searcher in (one, other):
        for number in range(6):
            x = suggested(searcher, str(number))
            for budget in (1, 3):
                for _ in range(1 if searcher is one else 3):
                    searcher.on_trial_result(str(number), at_rung(budget, x * x))
            searcher.on_trial_complete(str(number), at_rung(3, x * x))
    assert seen(one, 4) == seen(other, 4)


def test_failures_count_as_bad_at_the_smallest_budget() -> None:
    searcher = started(bohb_config=MODELLED)
    for number in range(40):
        x = suggested(searcher, str(number))
        if x < 0:
            searcher.on_trial_complete(str(number), error=True)
        else:
            searcher.on_trial_result(str(number), at_rung(2, 1.0 + number / 1000))
    assert min(seen(searcher)) > -0.3


def test_reports_without_the_metric_say_nothing() -> None:
    searcher = started()
    suggested(searcher, "a")
    searcher.on_trial_result("a", {"hyperband_info": {"budget": 1}})
    searcher.on_trial_result("a", at_rung(1, 0.5))


def test_trials_that_wait_at_a_rung_do_not_count_as_concurrent() -> None:
    searcher = started(max_concurrent=2)
    suggested(searcher, "a")
    suggested(searcher, "b")
    assert searcher.suggest("c") is None
    searcher.on_trial_result("a", {"loss": 1, "hyperband_info": {}})
    assert searcher.suggest("c") is None
    searcher.on_trial_result("a", at_rung(1, 1))
    suggested(searcher, "c")
    assert searcher.suggest("d") is None
    searcher.on_trial_result("a", {"loss": 1, "hyperband_info": {}})
    searcher.on_trial_complete("b", {"loss": 1})
    assert searcher.suggest("d") is None
    assert searcher.set_max_concurrency(2)
    with pytest.raises(InvalidArgumentError, match=r"max_concurrent_trials is 3, and TuneBOHB has max_concurrent=2"):
        searcher.set_max_concurrency(3)


def state_of_numpy() -> tuple[list[int], int]:
    state: Any = np.random.get_state()
    return state[1].tolist(), state[2]


def test_chance_elsewhere_neither_disturbs_it_nor_is_disturbed() -> None:
    (one, values), (other, _) = spread(), spread()
    at(one, 1, 0, values)
    before = state_of_numpy()
    first = seen(one)
    assert before == state_of_numpy()
    np.random.random(3)
    at(other, 1, 0, values)
    assert seen(other) == first


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bohb_config": {"random_part": 0.1}}, "bohb_config has 'random_part'; did you mean 'random_fraction'"),
        ({"max_concurrent": -1}, "max_concurrent is -1; give a whole number"),
        ({"seed": -1}, "the seed is -1"),
    ],
)
def test_bad_arguments_are_errors_at_once(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        TuneBOHB(**options)


def test_a_space_of_configspace_with_a_condition() -> None:
    space = ConfigSpace.ConfigurationSpace()
    kind = ConfigSpace.CategoricalHyperparameter("kind", ["flat", "deep"])
    depth = ConfigSpace.UniformIntegerHyperparameter("net/depth", 1, 8)
    rate = ConfigSpace.UniformFloatHyperparameter("rate", 1e-4, 1.0, log=True)
    space.add(kind, depth, rate, ConfigSpace.EqualsCondition(depth, kind, "deep"))

    def searched() -> tuple[list[Any], TuneBOHB]:
        first = {"kind": "flat", "rate": 0.5}
        searcher = TuneBOHB(space, metric="loss", mode="max", seed=1, points_to_evaluate=[first])
        assert searcher.set_search_properties(None, None, {"constant": 3}, num_samples=40)
        configs = []
        for number in range(40):
            config = searcher.suggest(str(number))
            assert isinstance(config, dict)
            configs.append(config)
            loss = config.get("net", {}).get("depth", 0) - abs(config["rate"] - 0.1)
            searcher.on_trial_complete(str(number), {"loss": loss})
            if number == 20:
                state = pickle.loads(pickle.dumps(searcher.get_state()))
                searcher = TuneBOHB(space, metric="loss", mode="max", seed=1)
                searcher.set_state(state)
                searcher.set_search_properties(None, None, {"constant": 3}, num_samples=40)
        return configs, searcher

    configs, _ = searched()
    assert configs[0] == {"kind": "flat", "rate": 0.5, "constant": 3}
    for config in configs:
        assert ("net" in config) is (config["kind"] == "deep")
        assert type(config["kind"]) is str and type(config["rate"]) is float
        assert 1e-4 <= config["rate"] <= 1.0
    late = configs[-15:]
    assert sum(config["kind"] == "deep" for config in late) > 8
    assert searched()[0] == configs
    with pytest.raises(InvalidArgumentError, match="'kin', which the space has not; did you mean 'kind'"):
        TuneBOHB(space, points_to_evaluate=[{"kin": "flat"}])
    with pytest.raises(InvalidArgumentError, match="which is none of the ConfigurationSpace"):
        TuneBOHB(space, points_to_evaluate=[{"kind": "round", "rate": 0.5}])
