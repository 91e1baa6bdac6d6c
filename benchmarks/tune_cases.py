"""The cases about hyperparameter search: a function for each row, which knows the module that it is given, `shoal` or `ray`.

Started by tune.py with the backend's own interpreter, a process for each row:

    python tune_cases.py '{"backend": "shoal", "case": "trials", "quick": true, "cpus": 2}' OUTPUT_FD
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLEEP = 0.05
SLOTS = 2


@dataclass(frozen=True)
class Setting:
    """What a case is given.

    Args:
        tune: the module `shoal.tune` or `ray.tune`.
        quick: a glance instead of a measurement.
        folder: for searches.
        backend: `shoal` or `ray`.
    """

    tune: Any
    quick: bool
    folder: str
    backend: str

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def trivial(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": config["x"]}


def sleeping(config: dict[str, Any]) -> dict[str, float]:
    time.sleep(SLEEP)
    return {"loss": config["x"]}


def fit(setting: Setting, trainable: Any, samples: int, name: str, **tune_config: Any) -> tuple[float, Any]:
    """Returns how long a search takes, and its results."""
    tune = setting.tune
    space = tune_config.pop("param_space", None) or {"x": tune.uniform(0, 1)}
    run: dict[str, Any] = {"name": name, "storage_path": setting.folder, "verbose": 0, **tune_config.pop("run", {})}
    loggers = importlib.import_module(f"{setting.backend}.tune.logger")
    run["callbacks"] = [loggers.JsonLoggerCallback(), loggers.CSVLoggerCallback(), *run.get("callbacks", ())]
    start = time.perf_counter()
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(num_samples=samples, metric="loss", mode="min", **tune_config),
        run_config=tune.RunConfig(**run),
    )
    results = tuner.fit()
    seconds = time.perf_counter() - start
    assert len(results) == samples and not results.errors, results.errors[:1]
    return seconds, results


def first_trials(setting: Setting) -> float:
    return fit(setting, trivial, 20, "first")[0]


def trials(setting: Setting) -> float:
    fit(setting, trivial, 4, "warm", reuse_actors=True)
    samples = setting.count(2000, 40) if setting.backend == "shoal" else setting.count(40, 8)
    return samples / fit(setting, trivial, samples, "trials", reuse_actors=True)[0]


def isolated_trials(setting: Setting) -> float:
    fit(setting, trivial, 4, "warm", reuse_actors=False)
    samples = setting.count(200, 8) if setting.backend == "shoal" else setting.count(20, 4)
    return samples / fit(setting, trivial, samples, "isolated", reuse_actors=False)[0]


def filled(setting: Setting) -> float:
    fit(setting, trivial, 4, "warm", reuse_actors=True)
    samples = setting.count(2000, 40) if setting.backend == "shoal" else setting.count(60, 8)
    seconds, _ = fit(setting, sleeping, samples, "filled", reuse_actors=True)
    return 100 * samples * SLEEP / SLOTS / seconds


def reported(setting: Setting, count: int, **tune_config: Any) -> float:
    tune = setting.tune

    def reporting(config: dict[str, Any]) -> None:
        for step in range(count):
            tune.report({"loss": config["x"] / (step + 1), "accuracy": 1.0 - config["x"], "step": step})

    fit(setting, trivial, 4, "warm", reuse_actors=True)
    seconds, found = fit(setting, reporting, SLOTS, "results", reuse_actors=True, **tune_config)
    assert all(len(result.metrics_dataframe) == count for result in found)
    return count * SLOTS / seconds


def results(setting: Setting) -> float:
    return reported(setting, setting.count(50_000, 500) if setting.backend == "shoal" else setting.count(500, 20))


def lock_step_results(setting: Setting) -> float:
    count = setting.count(15_000, 300) if setting.backend == "shoal" else setting.count(500, 20)
    asha = setting.tune.schedulers.ASHAScheduler(max_t=10**9, grace_period=10**8)
    return reported(setting, count, scheduler=asha)


def trials_of(setting: Setting, count: int, status: str) -> list[Any]:
    """Returns trials as a scheduler sees them."""
    trial_class = importlib.import_module("shoal.tune.experiment.trial").Trial
    checkpoint = importlib.import_module("shoal.train").Checkpoint(setting.folder)
    return [
        trial_class(
            f"{number:08d}",
            number,
            {"lr": number / count},
            status=status,
            checkpoint=checkpoint,
            path=f"{setting.folder}/{number:08d}",
        )
        for number in range(count)
    ]


class Controller:
    """A search that does nothing."""

    def __init__(self, trials: list[Any]) -> None:
        self._trials = trials

    def get_trials(self) -> list[Any]:
        return self._trials

    def get_live_trials(self) -> list[Any]:
        return self._trials

    def stop_trial(self, trial: Any) -> None:
        pass

    def save_trial(self, trial: Any) -> None:
        pass

    def exploit(self, trial: Any, donor: Any, config: Any, tag: str = "") -> None:
        pass

    def set_resources(self, trial: Any, resources: Any) -> None:
        pass


def asha_decision(setting: Setting) -> float:
    """All run, and report at iterations 1, 2, 4, 8, …"""
    asha = setting.tune.schedulers.ASHAScheduler(metric="loss", mode="min", max_t=1000, reduction_factor=2)
    everyone = trials_of(setting, setting.count(10_000, 200), "RUNNING")
    controller = Controller(everyone)
    for trial in everyone:
        asha.on_trial_add(controller, trial)
    spent = 0.0
    for power in range(6):
        for trial in everyone:
            result = report_of(trial, 2**power)
            start = time.perf_counter()
            asha.on_trial_result(controller, trial, result)
            spent += time.perf_counter() - start
    return 1e6 * spent / (6 * len(everyone))


def pbt_decision(setting: Setting) -> float:
    """All take turns on one place: the scheduler says whose turn it is, and what its result means."""
    pbt = setting.tune.schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        metric="loss",
        mode="min",
        perturbation_interval=1,
        hyperparam_mutations={"lr": [0.1, 0.2, 0.3]},
        log_config=False,
    )
    everyone = trials_of(setting, setting.count(10_000, 200), "PENDING")
    controller = Controller(everyone)
    for trial in everyone:
        pbt.on_trial_add(controller, trial)
    count = 3 * len(everyone)
    spent = 0.0
    for _ in range(count):
        start = time.perf_counter()
        trial = pbt.choose_trial_to_run(controller)
        spent += time.perf_counter() - start
        trial.status = "RUNNING"
        result = report_of(trial, trial.last_result.get("training_iteration", 0) + 1)
        start = time.perf_counter()
        pbt.on_trial_result(controller, trial, result)
        spent += time.perf_counter() - start
        trial.status = "PAUSED"
    return 1e6 * spent / count


def report_of(trial: Any, iteration: int) -> dict[str, Any]:
    result = {"training_iteration": iteration, "loss": (trial.number * 7919 % 10_007) / iteration}
    trial.last_result = result | {"config": trial.config, "trial_id": trial.trial_id}
    return dict(trial.last_result)


def exploit(setting: Setting) -> float:
    tune = setting.tune

    class Stepping(tune.Trainable):  # type: ignore[misc, name-defined]
        def setup(self, config: dict[str, Any]) -> None:
            self.x = config["x"]

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.x = new_config["x"]
            return True

        def step(self) -> dict[str, float]:
            time.sleep(0.005)
            return {"loss": self.x}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            Path(checkpoint_dir, "state").write_text(str(self.x))

        def load_checkpoint(self, checkpoint: Any) -> None:
            Path(checkpoint, "state").read_text()

    times: dict[str, list[tuple[float, Any]]] = {}

    class Watch(tune.Callback):  # type: ignore[misc, name-defined]
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            times.setdefault(trial.trial_id, []).append((time.perf_counter(), dict(trial.config)))

    pbt = tune.schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=5,
        hyperparam_mutations={"x": tune.uniform(0, 1)},
        quantile_fraction=0.5,
    )
    steps = setting.count(200, 30)
    fit(
        setting,
        Stepping,
        SLOTS,
        "exploit",
        reuse_actors=True,
        scheduler=pbt,
        run={
            "stop": {"training_iteration": steps},
            "callbacks": [Watch()],
            "checkpoint_config": tune.CheckpointConfig(checkpoint_frequency=5, num_to_keep=4),
        },
    )
    gaps = [
        1000 * (then - before)
        for series in times.values()
        for (before, config), (then, other) in itertools.pairwise(series)
        if config != other
    ]
    return statistics.median(gaps)


def saved_trial(setting: Setting) -> float:
    return saved_among(setting, setting.count(10_000, 400))


def saved_trial_few(setting: Setting) -> float:
    return saved_among(setting, 100)


def saved_among(setting: Setting, count: int) -> float:
    """Returns the microseconds of saving a changed trial, over several times as many changes as there are trials."""
    life = importlib.import_module("shoal.tune._internal.logic.life")
    metrics = importlib.import_module("shoal.tune._internal.logic.metrics")
    storage = importlib.import_module("shoal.tune._internal.process.search_storage").SearchStorage.at(setting.folder)
    storage.make()
    lives = []
    for trial in trials_of(setting, count, "RUNNING"):
        trial.last_result = {"loss": 0.5, "training_iteration": 1, "config": trial.config, "trial_id": trial.trial_id}
        analysis = metrics.MetricAnalysis(trial.metric_analysis)
        analysis.add({"loss": 0.5, "accuracy": 0.25, "training_iteration": 1})
        lives.append(life.Life(trial, analysis))
    batch, changes = 100, 12 * count
    start = time.perf_counter()
    for first in range(0, changes, batch):
        storage.save_trials([lives[number % count] for number in range(first, first + batch)], lives)
    return 1e6 * (time.perf_counter() - start) / changes


def optuna_first_trials(setting: Setting) -> float:
    return 20 / optuna_trials(setting, 20)


def optuna_trials(setting: Setting, count: int | None = None) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = count or setting.count(2000, 100)
    start = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=number)
    return number / (time.perf_counter() - start)


OPTUNA: dict[str, Callable[[Setting], float]] = {"first_trials": optuna_first_trials, "trials": optuna_trials}
BOTH: dict[str, Callable[[Setting], float]] = {
    function.__name__: function
    for function in (first_trials, trials, isolated_trials, filled, results, lock_step_results, exploit)
}
SHOAL: dict[str, Callable[[Setting], float]] = {
    function.__name__: function for function in (asha_decision, pbt_decision, saved_trial, saved_trial_few)
}
ALONE = frozenset(SHOAL)
"""Need no session."""
CASES: dict[str, dict[str, Callable[[Setting], float]]] = {"shoal": BOTH | SHOAL, "ray": BOTH, "optuna": OPTUNA}


def main() -> None:
    request = json.loads(sys.argv[1])
    backend, case = request["backend"], request["case"]
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # no TensorBoard: each search gets JSON and CSV
    with (
        os.fdopen(int(sys.argv[2]), "w", buffering=1) as output,
        tempfile.TemporaryDirectory(prefix="tune-benchmark-") as folder,
    ):
        tune: Any = None
        if backend != "optuna":
            module = importlib.import_module(backend)
            if case not in ALONE:
                module.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
            tune = importlib.import_module(f"{backend}.tune")
            importlib.import_module(f"{backend}.tune.schedulers")
        try:
            figure = CASES[backend][case](Setting(tune, request["quick"], folder, backend))
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), file=output)
        else:
            print(json.dumps({"figure": figure}), file=output)


if __name__ == "__main__":
    main()
