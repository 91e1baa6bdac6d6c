"""Searches in real processes."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.train import report as train_report
from shoal.tune import Checkpoint
from shoal.tune.exceptions import (
    CheckpointStorageError,
    ConfigNotPicklableError,
    InvalidArgumentError,
    InvalidReportError,
    MetricNotReportedError,
    TrialError,
)
from shoal.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from shoal.tune.stopper import TimeoutStopper


@pytest.fixture
def run_config(tmp_path: Path) -> Any:
    def made(**arguments: Any) -> tune.RunConfig:
        return tune.RunConfig(storage_path=tmp_path, name="search", verbose=0, **arguments)

    return made


def counts(config: dict[str, Any]) -> None:
    """Goes on from its checkpoint; has a checkpoint with every report."""
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            start = json.loads(Path(folder, "step").read_text())
    for step in range(start, config.get("steps", 5)):
        if step == config.get("dies_at") and checkpoint is None:
            os.kill(os.getpid(), 9)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "step").write_text(json.dumps(step + 1))
            tune.report(
                {"step": step, "loss": config.get("x", 1) / (step + 1)}, checkpoint=Checkpoint.from_directory(folder)
            )


def test_random_draws_and_grids(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"loss": config["x"] + config["inner"]["k"]}

    results = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1), "inner": {"k": tune.grid_search([1, 2, 3])}, "constant": 7},
        tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=2, seed=1),
        run_config=run_config(),
    ).fit()
    assert len(results) == 6
    assert results.num_terminated == 6
    best = results.get_best_result()
    assert best.config["inner"]["k"] == 1
    assert best.config["constant"] == 7
    assert results.trials[0].evaluated_params.keys() == {"x", "inner/k"}


def test_every_key_that_is_promised_is_in_a_result(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": 1})
        tune.report({"loss": 0.5, "nested": {"a": 1}})

    results = tune.Tuner(train, run_config=run_config()).fit()
    metrics = results[0].metrics
    assert metrics is not None
    assert metrics["training_iteration"] == metrics["iterations_since_restore"] == 2
    assert metrics["done"] is True
    assert metrics["pid"] != os.getpid()
    assert {
        "time_this_iter_s",
        "time_total_s",
        "timestamp",
        "date",
        "trial_id",
        "config",
        "hostname",
        "node_ip",
    } <= set(metrics)
    assert {"time_since_restore", "experiment_tag"} <= set(metrics)
    folder = Path(results[0].path)
    assert {"params.json", "result.json", "progress.csv"} <= {path.name for path in folder.iterdir()}
    assert len((folder / "result.json").read_text().splitlines()) == 2


def test_a_function_may_yield(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> Any:
        for step in range(3):
            yield {"step": step}

    results = tune.Tuner(train, run_config=run_config()).fit()
    assert results[0].metrics["training_iteration"] == 3


def test_processes_are_used_again_and_leave_no_traces(run_config: Any, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        was = os.environ.get("LEFT")
        os.environ["LEFT"] = "behind"
        Path("here").write_text("x")
        return {"pid": os.getpid(), "was": was, "folder": os.getcwd()}

    def told(config: dict[str, Any]) -> dict[str, Any]:
        found = train(config)
        return {"process": found["pid"], "was": found["was"], "folder": found["folder"]}

    config = tune.TuneConfig(num_samples=6, max_concurrent_trials=1)
    results = tune.Tuner(told, tune_config=config, run_config=run_config()).fit()
    assert len({result.metrics["process"] for result in results}) == 1
    assert {result.metrics["was"] for result in results} == {None}
    assert [result.metrics["folder"] for result in results] == [result.path for result in results]


def test_isolated_trials_have_processes_of_their_own(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"process": os.getpid()}

    config = tune.TuneConfig(num_samples=5, reuse_actors=False)
    results = tune.Tuner(train, tune_config=config, run_config=run_config()).fit()
    assert len({result.metrics["process"] for result in results}) == 5


def test_a_process_in_which_a_trial_left_a_thread_is_not_used_again(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        threading.Thread(target=threading.Event().wait, args=(60,)).start()
        return {"process": os.getpid()}

    config = tune.TuneConfig(num_samples=2, max_concurrent_trials=1)
    results = tune.Tuner(train, tune_config=config, run_config=run_config()).fit()
    assert len({result.metrics["process"] for result in results}) == 2


def test_what_fails_is_told_and_the_others_go_on(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> Any:
        how = config["how"]
        if how == "raises":
            raise ValueError("oh no")
        if how == "dies":
            os.kill(os.getpid(), 9)
        if how == "exits":
            raise SystemExit(3)
        if how == "nonsense":
            return "nonsense"
        if how == "names":
            tune.report({1: 2})
        return {"loss": 1}

    hows = ["raises", "dies", "exits", "nonsense", "names", "well"]
    results = tune.Tuner(train, param_space={"how": tune.grid_search(hows)}, run_config=run_config()).fit()
    assert results.num_errors == 5
    errors = {result.config["how"]: result.error for result in results}
    assert isinstance(errors["raises"], ValueError)
    assert "oh no" in str(errors["raises"])
    assert "SIGKILL" in str(errors["dies"])
    assert isinstance(errors["exits"], TrialError)
    assert isinstance(errors["nonsense"], InvalidReportError)
    assert isinstance(errors["names"], InvalidReportError)
    assert errors["well"] is None
    text = Path(results[0].path, "error.txt").read_text()
    assert "oh no" in text
    assert "def train" not in text.split("Traceback")[0]


def test_a_killed_trial_goes_on_from_its_checkpoint(run_config: Any) -> None:
    results = tune.Tuner(
        counts,
        param_space={"dies_at": tune.grid_search([3, None])},
        run_config=run_config(
            failure_config=tune.FailureConfig(max_failures=1), checkpoint_config=tune.CheckpointConfig(num_to_keep=2)
        ),
    ).fit()
    assert results.num_errors == 0
    for result in results:
        assert result.metrics["training_iteration"] == 5
        assert list(result.metrics_dataframe["step"]) == [0, 1, 2, 3, 4]
        folders = sorted(path.name for path in Path(result.path).glob("checkpoint_*"))
        assert folders == ["checkpoint_000003", "checkpoint_000004"]
        with result.checkpoint.as_directory() as folder:
            assert Path(folder, "step").read_text() == "5"


def test_a_checkpoint_that_cannot_be_stored_is_a_typed_error(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": 1}, checkpoint=Checkpoint.from_directory("/nowhere/at/all"))

    results = tune.Tuner(train, run_config=run_config()).fit()
    assert isinstance(results.errors[0], CheckpointStorageError)
    assert "/nowhere/at/all" in str(results.errors[0])


def test_a_metric_that_is_not_reported(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"accuracy": 1}

    config = tune.TuneConfig(metric="acuracy", mode="max")
    results = tune.Tuner(train, tune_config=config, run_config=run_config()).fit()
    assert isinstance(results.errors[0], MetricNotReportedError)


def test_stop_by_a_number_that_the_processes_know_themselves(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        step = 0
        while True:
            step += 1
            tune.report({"nested": {"step": step}})

    results = tune.Tuner(
        train, param_space={"x": tune.grid_search([1, 2])}, run_config=run_config(stop={"nested/step": 4})
    ).fit()
    assert [result.metrics["training_iteration"] for result in results] == [4, 4]
    assert results.num_terminated == 2


def test_stop_by_a_function(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1000000):
            tune.report({"step": step})

    results = tune.Tuner(train, run_config=run_config(stop=lambda trial_id, result: result["step"] >= 6)).fit()
    assert results[0].metrics["step"] == 6


def test_a_time_budget_ends_also_what_hangs(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": 1})
        threading.Event().wait()

    begin = time.monotonic()
    config = tune.TuneConfig(num_samples=-1, time_budget_s=0.5)
    results = tune.Tuner(train, tune_config=config, run_config=run_config()).fit()
    assert time.monotonic() - begin < 60
    assert results.num_errors == 0
    assert {trial.why_stopped for trial in results.trials} == {"time budget"}


def test_a_stopper_of_time_ends_what_never_reports(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        threading.Event().wait()

    results = tune.Tuner(train, run_config=run_config(stop=TimeoutStopper(0.3))).fit()
    assert results.num_terminated == 1
    assert results.trials[0].why_stopped == "stopper"


def test_asha_ends_the_worse_ones(run_config: Any) -> None:
    results = tune.Tuner(
        counts,
        param_space={"x": tune.grid_search([1, 2, 3, 4, 5, 6, 7, 8]), "steps": 8},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            max_concurrent_trials=1,
            scheduler=ASHAScheduler(max_t=8, grace_period=1, reduction_factor=2),
        ),
        run_config=run_config(),
    ).fit()
    iterations = [result.metrics["training_iteration"] for result in results]
    assert iterations[0] == 8
    assert iterations[-1] == 1
    assert results.num_errors == 0


def test_pbt_exploits_with_the_configuration_that_is_logged(run_config: Any) -> None:
    results = tune.Tuner(
        counts,
        param_space={"x": tune.grid_search([1.0, 100.0]), "steps": 12},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            scheduler=PopulationBasedTraining(
                time_attr="training_iteration",
                perturbation_interval=3,
                quantile_fraction=0.5,
                synch=True,
                hyperparam_mutations={"x": tune.uniform(1, 200)},
            ),
        ),
        run_config=run_config(checkpoint_config=tune.CheckpointConfig(num_to_keep=1)),
    ).fit()
    assert results.num_errors == 0
    for result in results:
        for row in result.history:
            assert row["loss"] == pytest.approx(row["config"]["x"] / (row["step"] + 1))
    changed = [result for result in results if len({row["config"]["x"] for row in result.history}) > 1]
    assert changed
    assert json.loads(Path(changed[0].path, "params.json").read_text())["x"] == changed[0].config["x"]


def test_large_objects_travel_beside_the_configuration(run_config: Any) -> None:
    def train(config: dict[str, Any], data: list[int]) -> dict[str, Any]:
        return {"length": len(data) + config["x"]}

    results = tune.Tuner(
        tune.with_parameters(train, data=list(range(1000))),
        param_space={"x": tune.grid_search([1, 2])},
        run_config=run_config(),
    ).fit()
    assert sorted(result.metrics["length"] for result in results) == [1001, 1002]


def test_resources_of_trials(run_config: Any) -> None:
    @shoal.remote
    def child() -> int:
        return os.getpid()

    def train(config: dict[str, Any]) -> dict[str, Any]:
        bundles = tune.get_context().get_trial_resources().bundles
        return {"bundles": len(bundles), "cpus": bundles[0]["CPU"], "child": shoal.get(child.remote()) != os.getpid()}

    one = tune.Tuner(tune.with_resources(train, {"cpu": 3}), run_config=run_config()).fit()[0].metrics
    assert (one["bundles"], one["cpus"]) == (1, 3)
    factory = tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 2}])
    several = tune.Tuner(
        tune.with_resources(train, factory), param_space={"x": tune.grid_search([1, 2])}, run_config=run_config()
    ).fit()
    assert [result.metrics["bundles"] for result in several] == [2, 2]
    by_config = tune.with_resources(train, lambda config: {"cpu": config["cpus"]})
    results = tune.Tuner(by_config, param_space={"cpus": tune.grid_search([1, 4, 2])}, run_config=run_config()).fit()
    assert [result.metrics["cpus"] for result in results] == [1, 4, 2]


def test_resources_that_are_not_there_are_an_error_at_once(run_config: Any) -> None:
    trainable = tune.with_resources(counts, {"cpu": 1000})
    with pytest.raises(InvalidArgumentError, match="1000 CPU"):
        tune.Tuner(trainable, run_config=run_config()).fit()


def test_old_programs_report_by_train(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        train_report({"loss": config["x"]})

    def inside(config: dict[str, Any]) -> None:
        from shoal.air import session

        session.report({"loss": config["x"]})

    for trainable in (train, inside):
        results = tune.Tuner(trainable, param_space={"x": 3}, run_config=run_config()).fit()
        assert results[0].metrics["loss"] == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"param_space": {"lock": threading.Lock()}}, "param_space"),
        ({"param_space": 3}, "param_space"),
        ({"tune_config": {"metric": "x"}}, "tune_config"),
        ({"run_config": {"name": "x"}}, "run_config"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=word):
        tune.Tuner(counts, **{"run_config": tune.RunConfig(storage_path=tmp_path, verbose=0), **arguments}).fit()


def test_a_configuration_that_cannot_travel_fails_its_trial(run_config: Any) -> None:
    space = {"x": tune.sample_from(lambda config: threading.Lock())}
    results = tune.Tuner(counts, param_space=space, run_config=run_config()).fit()
    assert isinstance(results.errors[0], ConfigNotPicklableError)


@pytest.mark.parametrize("trainable", [None, 3, dict, lambda: None, lambda config, more: None, "unknown-name"])
def test_what_cannot_be_a_trainable(trainable: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        tune.Tuner(trainable)


@pytest.mark.parametrize(
    "arguments",
    [{"mode": "best"}, {"num_samples": 0}, {"max_concurrent_trials": -1}, {"time_budget_s": 0}, {"search_alg": 3}],
)
def test_tune_configs_that_cannot_be(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        tune.TuneConfig(**arguments)


def test_another_metric_in_each_of_two_places_is_an_error(run_config: Any) -> None:
    config = tune.TuneConfig(metric="loss", mode="min", scheduler=ASHAScheduler(metric="gain", mode="max"))
    with pytest.raises(InvalidArgumentError, match="one place"):
        tune.Tuner(counts, tune_config=config, run_config=run_config()).fit()


def test_checkpoint_frequency_is_for_classes(run_config: Any) -> None:
    config = run_config(checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=2))
    with pytest.raises(InvalidArgumentError, match="checkpoint_frequency"):
        tune.Tuner(counts, run_config=config).fit()


def test_fail_fast(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        if config["x"] == 1:
            raise ValueError("oh no")
        threading.Event().wait()

    space = {"x": tune.grid_search([0, 1, 2])}
    results = tune.Tuner(
        train, param_space=space, run_config=run_config(failure_config=tune.FailureConfig(fail_fast=True))
    ).fit()
    assert results.num_errors == 1
    with pytest.raises(ValueError, match="oh no"):
        tune.Tuner(
            train, param_space=space, run_config=run_config(failure_config=tune.FailureConfig(fail_fast="raise"))
        ).fit()


def test_output_goes_to_files(run_config: Any) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        print("hello from the trial")
        return {"loss": 1}

    results = tune.Tuner(train, run_config=run_config(log_to_file=True)).fit()
    assert "hello from the trial" in Path(results[0].path, "stdout").read_text()


def test_names_that_users_make(run_config: Any) -> None:
    config = tune.TuneConfig(
        trial_name_creator=lambda trial: f"mine-{trial.number}",
        trial_dirname_creator=lambda trial: f"folder-{trial.number}",
    )
    results = tune.Tuner(counts, tune_config=config, run_config=run_config()).fit()
    assert str(results.trials[0]) == "mine-0"
    assert results[0].path.endswith("/search/folder-0")


def test_registered_names(run_config: Any) -> None:
    tune.register_trainable("counts-registered", counts)
    results = tune.Tuner("counts-registered", run_config=run_config()).fit()
    assert results[0].metrics["training_iteration"] == 5


def test_run_raises_where_trials_failed(tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        if config["x"] == 1:
            raise ValueError("oh no")
        return {"loss": config["x"]}

    space = {"x": tune.grid_search([1, 2, 3])}
    with pytest.raises(tune.TuneError, match="oh no"):
        tune.run(train, config=space, storage_path=tmp_path, verbose=0)
    analysis = tune.run(
        train, config=space, storage_path=tmp_path, verbose=0, metric="loss", mode="min", raise_on_failed_trial=False
    )
    assert analysis.best_config == {"x": 2}
    trials = tune.run_experiments(
        {"squares": {"run": lambda config: {"y": config["x"] ** 2}, "config": {"x": 3}, "storage_path": str(tmp_path)}},
        verbose=0,
    )
    assert trials[0].last_result["y"] == 9
