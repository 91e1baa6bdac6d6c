"""OptunaSearch on the real Optuna: studies, storages, several objectives, spaces that functions define."""

from __future__ import annotations

import json
import logging
import pickle
import wsgiref.util
from io import BytesIO
from pathlib import Path
from typing import Any

import optuna
import pytest

from shoal.tune import search_space as space
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.optuna import OptunaSearch, distribution_of, labels

SPACE = {"x": space.uniform(-1, 1), "n": {"k": space.choice(["a", "b"])}}


def score(config: dict[str, Any]) -> float:
    return float(config["x"] ** 2)


def run(searcher: OptunaSearch, trials: int, first: int = 0) -> list[dict[str, Any]]:
    configs = []
    for number in range(first, first + trials):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        configs.append(config)
        for step in (1, 2):
            searcher.on_trial_result(f"t{number}", {"loss": score(config) + 1 / step, "training_iteration": step})
        searcher.on_trial_complete(f"t{number}", {"loss": score(config), "training_iteration": 2})
    return configs


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (space.uniform(0, 1), optuna.distributions.FloatDistribution(0, 1)),
        (space.loguniform(0.1, 1), optuna.distributions.FloatDistribution(0.1, 1, log=True)),
        (space.quniform(0, 1, 0.25), optuna.distributions.FloatDistribution(0, 1, step=0.25)),
        (space.qloguniform(0.5, 1, 0.25), optuna.distributions.FloatDistribution(0.5, 1, log=True)),
        (space.randint(0, 5), optuna.distributions.IntDistribution(0, 4)),
        (space.qrandint(1, 10, 2), optuna.distributions.IntDistribution(2, 10, step=2)),
        (space.lograndint(1, 9), optuna.distributions.IntDistribution(1, 8, log=True)),
        (space.randn(1, 2), optuna.distributions.FloatDistribution(-7, 9)),
        (space.choice(["a", None, 1]), optuna.distributions.CategoricalDistribution(["a", None, 1])),
    ],
)
def test_domains_are_distributions(domain: space.Domain, distribution: Any) -> None:
    assert distribution_of(domain) == distribution


def test_categories_that_optuna_cannot_store_have_labels() -> None:
    assert labels(space.choice([{"a": 1}, [1, 2]])) == ['0: {"a": 1}', "1: [1, 2]"]
    assert labels(space.choice([True, 1])) == ["0: true", "1: 1"]
    assert labels(space.choice([len, "x" * 99])) == ["0: builtin_function_or_method", f'1: "{"x" * 56}...']


@pytest.mark.parametrize("kind", ["sqlite", "journal", "object"])
def test_a_stored_study_is_there_for_optuna(kind: str, tmp_path: Path) -> None:
    storage: Any = {
        "sqlite": f"sqlite:///{tmp_path}/search.db",
        "journal": str(tmp_path / "search.log"),
        "object": optuna.storages.InMemoryStorage(),
    }[kind]
    searcher = OptunaSearch(SPACE, metric="loss", mode="min", study_name="mine", storage=storage, seed=1)
    configs = run(searcher, 6)
    failed = searcher.suggest("failed")
    assert isinstance(failed, dict)
    searcher.on_trial_complete("failed", error=True)
    searcher.suggest("running")
    there = storage
    if kind == "journal":
        there = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    study = optuna.load_study(study_name="mine", storage=there)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6 + ["FAIL", "RUNNING"]
    assert study.direction.name == "MINIMIZE"
    assert study.metric_names == ["loss"]
    assert [trial.params["x"] for trial in study.trials[:6]] == [config["x"] for config in configs]
    assert [trial.params["n/k"] for trial in study.trials[:6]] == [config["n"]["k"] for config in configs]
    assert study.trials[0].intermediate_values == {1: score(configs[0]) + 1, 2: score(configs[0]) + 0.5}
    assert study.trials[0].user_attrs["trial_id"] == "t0"
    assert study.best_params["x"] == min(configs, key=score)["x"]


def test_the_dashboard_shows_a_search_that_runs(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    url = f"sqlite:///{tmp_path}/search.db"
    searcher = OptunaSearch(SPACE, metric="loss", mode="min", study_name="live", storage=url)
    run(searcher, 3)
    searcher.suggest("running")
    app = dashboard.wsgi(storage=url)

    def get(path: str) -> Any:
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.input": BytesIO()}
        wsgiref.util.setup_testing_defaults(environ)
        statuses: list[str] = []
        body = b"".join(app(environ, lambda status, headers, error=None: statuses.append(status)))
        assert statuses == ["200 OK"], body
        return json.loads(body)

    [study] = get("/api/studies")["study_summaries"]
    assert study["study_name"] == "live"
    trials = get(f"/api/studies/{study['study_id']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete"] * 3 + ["Running"]
    assert len(trials[0]["intermediate_values"]) == 2


def test_an_existing_study_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/search.db"
    study = optuna.create_study(study_name="old", storage=url, direction="maximize")
    study.optimize(lambda trial: -(trial.suggest_float("x", -1, 1) ** 2), n_trials=5)
    searcher = OptunaSearch({"x": space.uniform(-1, 1)}, metric="score", mode="max", study_name="old", storage=url)
    config = searcher.suggest("t")
    assert isinstance(config, dict)
    searcher.on_trial_complete("t", {"score": 1.0})
    assert len(searcher.study.trials) == 6
    assert searcher.study.best_value == 1.0
    with pytest.raises(InvalidArgumentError, match=r"has the directions \['maximize'\], and the mode is \['min'\]"):
        OptunaSearch(SPACE, metric="score", mode="min", study_name="old", storage=url).suggest("t")


def test_several_objectives() -> None:
    searcher = OptunaSearch(SPACE, metric=["loss", "size"], mode=["min", "max"], seed=1)
    for number in range(20):
        config = searcher.suggest(str(number))
        assert isinstance(config, dict)
        searcher.on_trial_result(str(number), {"loss": 1.0, "size": 1, "training_iteration": 1})
        outcome = {"loss": score(config), "size": config["x"]}
        searcher.on_trial_complete(str(number), outcome if number != 3 else outcome | {"size": float("nan")})
    assert [direction.name for direction in searcher.study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert searcher.study.trials[3].state.name == "FAIL"
    assert len(searcher.study.best_trials) >= 2
    assert isinstance(searcher.study.sampler, optuna.samplers.NSGAIISampler)
    with pytest.raises(InvalidArgumentError, match=r"give one for each metric of \['a', 'b'\]"):
        OptunaSearch(SPACE, metric=["a", "b"], mode=["min"])


def conditional(trial: optuna.Trial) -> dict[str, Any]:
    kind = trial.suggest_categorical("model/kind", ["linear", "tree"])
    if kind == "tree":
        trial.suggest_int("model/depth", 1, 9)
    else:
        trial.suggest_float("model/l2", 1e-4, 1, log=True)
    return {"constant": kind.upper()}


def test_a_function_may_define_the_space() -> None:
    searcher = OptunaSearch(conditional, metric="loss", mode="min", seed=1)
    assert searcher.set_search_properties(None, None, {"data": "kept"}, num_samples=9)
    kinds = set()
    for number in range(12):
        config = searcher.suggest(str(number))
        assert isinstance(config, dict)
        kind = config["model"]["kind"]
        assert set(config["model"]) == {"kind", "depth" if kind == "tree" else "l2"}
        assert (config["data"], config["constant"]) == ("kept", kind.upper())
        kinds.add(kind)
        searcher.on_trial_complete(str(number), {"loss": 1.0})
    assert kinds == {"linear", "tree"}


def test_functions_that_define_nothing_or_fail_leave_no_trial_running() -> None:
    def broken(trial: optuna.Trial) -> None:
        raise RuntimeError("broken")

    for define, error in (
        (broken, RuntimeError),
        (lambda trial: None, InvalidArgumentError),
        (lambda trial: 3, InvalidArgumentError),
    ):
        searcher = OptunaSearch(define, metric="loss", mode="min")
        with pytest.raises(error):
            searcher.suggest("a")
        assert [trial.state.name for trial in searcher.study.trials] == ["FAIL"]


def test_a_function_goes_on_from_its_state() -> None:
    searcher = OptunaSearch(
        conditional, metric="loss", mode="min", seed=3, points_to_evaluate=[{"model": {"kind": "tree", "depth": 7}}]
    )
    assert searcher.suggest("a") == {"model": {"kind": "tree", "depth": 7}, "constant": "TREE"}
    searcher.on_trial_complete("a", {"loss": 1})
    other = OptunaSearch(conditional, metric="loss", mode="min", seed=3)
    other.set_state(pickle.loads(pickle.dumps(searcher.get_state())))
    assert other.suggest("b") == searcher.suggest("b")


def test_spaces_of_distributions() -> None:
    distributions = {
        "a/b": optuna.distributions.FloatDistribution(0, 1),
        "c": optuna.distributions.CategoricalDistribution([1]),
        "d": 3,
    }
    config = OptunaSearch(distributions, metric="loss", mode="min", seed=1).suggest("t")
    assert isinstance(config, dict)
    assert 0 <= config["a"]["b"] <= 1
    assert (config["c"], config["d"]) == (1, 3)
    with pytest.raises(InvalidArgumentError, match="use one kind"):
        OptunaSearch(distributions | {"e": space.uniform(0, 1)}, metric="loss", mode="min").suggest("t")


def test_conditional_parameters_are_only_asked_where_they_count() -> None:
    of = {"m": space.choice([{"kind": "a", "depth": space.randint(1, 4)}, {"kind": "b", "l2": space.uniform(0, 1)}])}
    searcher = OptunaSearch(of, metric="loss", mode="min", seed=1)
    for number in range(10):
        config = searcher.suggest(str(number))
        searcher.on_trial_complete(str(number), {"loss": 1.0})
        names = set(searcher.study.trials[-1].params)
        assert isinstance(config, dict)
        assert names == ({"m", "m[0]/depth"} if config["m"]["kind"] == "a" else {"m", "m[1]/l2"})


def test_points_with_rewards_are_learnt_from_and_not_suggested() -> None:
    points = [{"x": 0.5, "n": {"k": "a"}}, {"x": 0.1, "n/k": "b"}]
    searcher = OptunaSearch(
        SPACE, metric="loss", mode="min", points_to_evaluate=points, evaluated_rewards=[0.25, 0.01], seed=1
    )
    config = searcher.suggest("t")
    assert config not in points
    assert searcher.study.best_value == 0.01
    assert searcher.study.best_params == {"x": 0.1, "n/k": "b"}
    searcher.add_evaluated_point({"x": 0.0, "n": {"k": "b"}}, 0.0, intermediate_values=[2.0, 1.0])
    assert searcher.study.best_trial.intermediate_values == {1: 2.0, 2: 1.0}
    searcher.add_evaluated_point({"x": 0.0, "n": {"k": "b"}}, 0.0, error=True)
    assert searcher.study.trials[-1].state.name == "FAIL"
    with pytest.raises(InvalidArgumentError, match="evaluated_rewards has 1 values for 2"):
        OptunaSearch(SPACE, points_to_evaluate=points, evaluated_rewards=[1])


def test_functions_take_rewards_too() -> None:
    point = {"model": {"kind": "tree", "depth": 7}}
    searcher = OptunaSearch(conditional, metric="loss", mode="min", points_to_evaluate=[point], evaluated_rewards=[0.5])
    assert searcher.study.best_params == {"model/kind": "tree", "model/depth": 7}


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.RandomSampler(seed=1),
        optuna.samplers.TPESampler(seed=1, n_startup_trials=2),
        optuna.samplers.NSGAIISampler(seed=1),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_samplers_of_optuna(sampler: Any) -> None:
    searcher = OptunaSearch(
        {"x": space.uniform(-1, 1)}, metric="loss", mode="min", sampler=pickle.loads(pickle.dumps(sampler))
    )
    assert len({config["x"] for config in run(searcher, 8)}) == 8
    assert type(searcher.study.sampler) is type(sampler)


def test_a_sampler_has_to_be_one() -> None:
    with pytest.raises(InvalidArgumentError, match=r"call it: TPESampler\(\)"):
        OptunaSearch(sampler=optuna.samplers.TPESampler)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="storage is 3"):
        OptunaSearch(SPACE, metric="loss", mode="min", storage=3).suggest("t")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="space is 3"):
        OptunaSearch(3)  # type: ignore[arg-type]


def test_optuna_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    level = optuna.logging.get_verbosity()
    run(OptunaSearch(SPACE, metric="loss", mode="min"), 2)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert optuna.logging.get_verbosity() == level == logging.INFO


def test_what_was_suggested_after_the_state_was_stored_is_failed_in_the_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/search.db"

    def make() -> OptunaSearch:
        return OptunaSearch(SPACE, metric="loss", mode="min", study_name="s", storage=url, seed=1)

    searcher = make()
    searcher.suggest("live")
    stored = pickle.dumps(searcher.get_state())
    searcher.suggest("lost")
    again = make()
    again.set_state(pickle.loads(stored))
    again.on_trial_complete("live", {"loss": 1.0})
    again.suggest("next")
    states = [trial.state.name for trial in optuna.load_study(study_name="s", storage=url).trials]
    assert states == ["COMPLETE", "FAIL", "RUNNING"]
