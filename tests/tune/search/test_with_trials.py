"""Searchers with real trials: what is found does not depend on timing, and studies hold what ran."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import shoal
from shoal import tune
from shoal.tune.result_grid import ResultGrid
from shoal.tune.search import BasicVariantGenerator, ConcurrencyLimiter, Repeater, Searcher
from shoal.tune.search.optuna import OptunaSearch

SPACE = {"x": tune.uniform(-1, 1), "n": {"k": tune.choice(["a", "b"])}, "constant": 3}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=4, log_to_driver=False)
    yield
    shoal.shutdown()


def train(config: dict[str, Any]) -> None:
    """Takes a random time: trials end in another order each time."""
    for step in (1, 2):
        time.sleep(random.SystemRandom().uniform(0, 0.02))
        tune.report({"loss": (config["x"] - 0.5) ** 2 + 1 / step, "size": config["x"]})


def fit(
    folder: Path, searcher: Searcher | None, trainable: Any = train, space: Any = None, **config: Any
) -> ResultGrid:
    return tune.Tuner(
        trainable,
        param_space=SPACE if space is None else space,
        tune_config=tune.TuneConfig(
            **{"metric": "loss", "mode": "min", "search_alg": searcher, "num_samples": 12} | config
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()


def configs_of(results: ResultGrid) -> list[Any]:
    assert results.num_errors == 0, results.errors
    return [result.config for result in results]


def test_random_draws_are_the_same_at_any_concurrency(tmp_path: Path) -> None:
    space = SPACE | {"g": tune.grid_search([1, 2]), "f": tune.sample_from(lambda spec: spec.config.x * random.random())}
    found = [
        configs_of(
            fit(
                tmp_path / str(limit),
                BasicVariantGenerator(random_state=1),
                space=space,
                num_samples=4,
                max_concurrent_trials=limit,
            )
        )
        for limit in (1, 4)
    ]
    assert len(found[0]) == 8
    assert found[0] == found[1]


def test_optuna_is_the_same_for_one_limit_whatever_the_timing(tmp_path: Path) -> None:
    found = [
        configs_of(fit(tmp_path / str(attempt), OptunaSearch(seed=1), max_concurrent_trials=3)) for attempt in range(2)
    ]
    assert found[0] == found[1]
    assert len({config["x"] for config in found[0]}) == 12


def test_batches_are_the_same_for_any_limit(tmp_path: Path) -> None:
    found = [
        configs_of(
            fit(
                tmp_path / str(limit),
                ConcurrencyLimiter(OptunaSearch(seed=2), 4, batch=True),
                max_concurrent_trials=limit,
            )
        )
        for limit in (1, 3, None)
    ]
    assert found[0] == found[1] == found[2]


def test_a_study_has_what_ran_and_what_came_of_it(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    searcher = OptunaSearch(study_name="s", storage=storage, seed=1)

    def sometimes(config: dict[str, Any]) -> None:
        tune.report({"loss": config["x"]})
        if config["n"]["k"] == "a":
            raise ValueError("a is bad")
        tune.report({"loss": config["x"] - 1})

    results = fit(tmp_path, searcher, sometimes, num_samples=10)
    study = optuna.load_study(
        study_name="s", storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    )
    assert len(study.trials) == len(results) == 10
    by_x = {trial.params["x"]: trial for trial in study.trials}
    states = set()
    for result in results:
        trial = by_x[result.config["x"]]
        failed = result.config["n"]["k"] == "a"
        assert trial.params["n/k"] == result.config["n"]["k"]
        assert trial.state.name == ("FAIL" if failed else "COMPLETE")
        assert trial.intermediate_values[1] == result.config["x"]
        if not failed:
            assert trial.value == result.config["x"] - 1
        states.add(trial.state.name)
    assert states == {"FAIL", "COMPLETE"}


def test_an_existing_study_goes_on_in_a_search(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    fit(tmp_path / "a", OptunaSearch(study_name="s", storage=storage), num_samples=3)
    again = OptunaSearch(study_name="s", storage=storage)
    fit(tmp_path / "b", again, num_samples=2)
    assert [trial.state.name for trial in again.study.trials] == ["COMPLETE"] * 5


def test_several_objectives(tmp_path: Path) -> None:
    searcher = OptunaSearch(metric=["loss", "size"], mode=["min", "max"], seed=1)
    results = fit(tmp_path, searcher, metric=None, mode=None)
    assert len(results) == len(searcher.study.trials) == 12
    assert len(searcher.study.best_trials) >= 1
    assert {tuple(trial.values) for trial in searcher.study.trials} == {
        (result.metrics["loss"], result.metrics["size"]) for result in results
    }


def define(trial: optuna.Trial) -> dict[str, Any]:
    kind = trial.suggest_categorical("n/k", ["a", "b"])
    trial.suggest_float("x", -1, 0 if kind == "a" else 1)
    return {"kind": kind}


def test_a_function_defines_the_space(tmp_path: Path) -> None:
    searcher = OptunaSearch(define, seed=1)
    configs = configs_of(fit(tmp_path, searcher, space={"constant": 3}))
    assert len(configs) == 12
    for config in configs:
        assert set(config) == {"n", "x", "kind", "constant"}
        assert config["kind"] == config["n"]["k"]


def test_repetitions_are_told_as_their_mean(tmp_path: Path) -> None:
    inner = OptunaSearch(seed=1)

    def noisy(config: dict[str, Any]) -> None:
        tune.report({"loss": config["x"] + config["__trial_index__"]})

    results = fit(tmp_path, Repeater(inner, 3), noisy, num_samples=6)
    assert [result.config["__trial_index__"] for result in results] == [0, 1, 2] * 2
    assert sorted(trial.value for trial in inner.study.trials) == pytest.approx(
        sorted({result.config["x"] + 1 for result in results})
    )


def test_points_come_first_in_a_search(tmp_path: Path) -> None:
    points = [{"x": 0.5, "n": {"k": "b"}}]
    for number, searcher in enumerate(
        (OptunaSearch(points_to_evaluate=points), BasicVariantGenerator(points_to_evaluate=points))
    ):
        results = fit(tmp_path / str(number), searcher, num_samples=2)
        assert configs_of(results)[0] == {"x": 0.5, "n": {"k": "b"}, "constant": 3}


@pytest.mark.parametrize("name", ["hyperopt", "nevergrad", "bayesopt", "zoopt", "bohb"])
def test_searchers_by_name(name: str, tmp_path: Path) -> None:
    pytest.importorskip({"bayesopt": "bayes_opt", "bohb": "hpbandster"}.get(name, name))
    results = tune.Tuner(
        train,
        param_space=SPACE,
        tune_config=tune.TuneConfig(metric="loss", mode="min", search_alg=name, num_samples=6, max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert len(configs_of(results)) == 6
