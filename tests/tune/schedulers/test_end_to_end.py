"""Each scheduler with real trials: functions and classes, their checkpoints, copies and pauses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.schedulers import (
    ASHAScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    TrialScheduler,
)
from shoal.tune.schedulers.pb2 import PB2
from shoal.tune.stopper import CombinedStopper, MaximumIterationStopper, TrialPlateauStopper


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=4, log_to_driver=False)
    yield
    shoal.shutdown()


class Climber(tune.Trainable):
    """Its score grows by its lr."""

    def setup(self, config: dict[str, Any]) -> None:
        self.lr, self.score = config["lr"], 0.0

    def step(self) -> dict[str, Any]:
        self.score += self.lr
        return {"score": self.score, "used": self.lr}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "score").write_text(str(self.score))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        self.score = float((Path(checkpoint_dir) / "score").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.lr, self.score = new_config["lr"], 0.0
        return True


def climb(config: dict[str, Any]) -> None:
    """The same as a function, with a checkpoint at each report."""
    import tempfile

    score, begun = 0.0, 0
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            begun, score = json.loads((Path(folder) / "state.json").read_text())
    for step in range(begun + 1, config.get("steps", 12) + 1):
        score += config["lr"]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "state.json").write_text(json.dumps([step, score]))
            tune.report({"score": score, "used": config["lr"]}, checkpoint=tune.Checkpoint.from_directory(folder))


def searched(
    trainable: Any, space: dict[str, Any], scheduler: TrialScheduler, path: Path, **more: Any
) -> tune.ResultGrid:
    stop = more.pop("stop", None)
    config = tune.TuneConfig(scheduler=scheduler, **more)
    run = tune.RunConfig(name="search", storage_path=str(path), stop=stop, verbose=0)
    return tune.Tuner(trainable, param_space=space, tune_config=config, run_config=run).fit()


def reached(results: tune.ResultGrid) -> list[int]:
    assert not results.errors
    return [result.metrics["training_iteration"] for result in results]


def at_places(trainable: Any, places: int) -> Any:
    """So large that so many run at a time."""
    return tune.with_resources(trainable, {"CPU": 4 / places})


LRS = {"lr": tune.grid_search([1.0, 4.0, 2.0, 3.0])}


@pytest.mark.parametrize("trainable", [climb, Climber])
def test_asha(trainable: Any, tmp_path: Path) -> None:
    scheduler = ASHAScheduler(max_t=8, reduction_factor=2)
    results = searched(trainable, LRS, scheduler, tmp_path, metric="score", mode="max", max_concurrent_trials=1)
    assert reached(results) == [8, 8, 1, 8]
    assert results.get_best_result().config["lr"] == 4.0


@pytest.mark.parametrize("trainable", [climb, Climber])
@pytest.mark.parametrize("places", [2, 4])
def test_hyperband(trainable: Any, places: int, tmp_path: Path) -> None:
    space = {"lr": tune.grid_search([9.0, 9.0, 9.0, 1.0, 5.0, 3.0, 2.0, 4.0])}
    scheduler = HyperBandScheduler("training_iteration", "score", "max", max_t=9)
    results = searched(at_places(trainable, places), space, scheduler, tmp_path)
    assert reached(results) == [9, 9, 9, 3, 9, 3, 3, 3]
    assert [result.metrics["score"] for result in results] == [81, 81, 81, 3, 45, 9, 6, 12]


def test_paused_trials_do_not_count_as_concurrent(tmp_path: Path) -> None:
    space = {"lr": tune.grid_search([9.0, 9.0, 9.0, 1.0, 5.0, 3.0, 2.0, 4.0])}
    scheduler = HyperBandScheduler("training_iteration", "score", "max", max_t=9)
    assert reached(searched(climb, space, scheduler, tmp_path, max_concurrent_trials=2)) == [9, 9, 9, 3, 9, 3, 3, 3]


def test_hyperband_for_bohb(tmp_path: Path) -> None:
    space = {"lr": tune.grid_search([float(lr) for lr in range(9)])}
    scheduler = HyperBandForBOHB("training_iteration", "score", "max", max_t=9)
    assert reached(searched(climb, space, scheduler, tmp_path)) == [1, 1, 1, 1, 1, 1, 3, 3, 9]


@pytest.mark.parametrize("places", [2, 4])
def test_bohb_with_its_searcher(places: int, tmp_path: Path) -> None:
    pytest.importorskip("hpbandster", reason="hpbandster is not installed: TuneBOHB is NOT tested here")
    from shoal.tune.search.bohb import TuneBOHB

    told: list[float | None] = []

    class Spy(TuneBOHB):
        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            told.append(result["hyperband_info"].get("budget"))
            super().on_trial_result(trial_id, result)

    scheduler = HyperBandForBOHB("training_iteration", "score", "max", max_t=9)
    searcher = Spy(metric="score", mode="max", seed=1)
    results = searched(
        at_places(climb, places), {"lr": tune.uniform(0, 9)}, scheduler, tmp_path, search_alg=searcher, num_samples=28
    )
    # Brackets: 9 -> 3 -> 1 trials, 5 -> 1, and 3; then 9 -> 3 -> 1 again, and the last two trials in one of their own.
    assert sorted(reached(results)) == [1] * (6 + 6) + [3] * (2 + 4 + 2 + 1) + [9] * (1 + 1 + 3 + 1 + 1)
    assert [told.count(budget) for budget in (1, 3, 9)] == [9 + 9, 3 + 5 + 3 + 2, 1 + 1 + 3 + 1 + 1]
    learnt = [result.config["lr"] for result in results][-10:]
    assert sum(learnt) / len(learnt) > 5.0


def test_median_stopping(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule("training_iteration", grace_period=2, min_samples_required=1)
    results = searched(
        Climber,
        LRS,
        scheduler,
        tmp_path,
        metric="score",
        mode="max",
        max_concurrent_trials=1,
        stop={"training_iteration": 5},
    )
    assert reached(results) == [5, 5, 2, 5]


def pbt(**more: Any) -> PopulationBasedTraining:
    return PopulationBasedTraining(
        "training_iteration",
        "score",
        "max",
        perturbation_interval=3,
        quantile_fraction=0.5,
        hyperparam_mutations={"lr": [5.0, 6.0, 7.0]},
        **more,
    )


@pytest.mark.parametrize("trainable", [climb, Climber])
def test_synchronous_pbt_is_the_same_at_any_concurrency(trainable: Any, tmp_path: Path) -> None:
    grids = [
        searched(
            at_places(trainable, places),
            LRS,
            pbt(synch=True, seed=1),
            tmp_path / str(places),
            stop={"training_iteration": 12},
        )
        for places in (2, 4)
    ]
    assert reached(grids[0]) == reached(grids[1]) == [12] * 4
    one, other = (
        [(result.metrics["score"], result.metrics["used"], result.config) for result in grid] for grid in grids
    )
    assert one == other
    assert all(result.config["lr"] == result.metrics["used"] for result in grids[0]), "what is logged is what ran"
    assert min(score for score, _, _ in one) > 12 * 2.0


@pytest.mark.parametrize("trainable", [climb, Climber])
def test_asynchronous_pbt_and_its_replay(trainable: Any, tmp_path: Path) -> None:
    assert min(reached(searched(trainable, LRS, pbt(), tmp_path / "asynch", stop={"training_iteration": 12}))) == 12
    # Only where they wait for each other there are copies for certain, however slow the machine is.
    results = searched(trainable, LRS, pbt(synch=True, seed=1), tmp_path, stop={"training_iteration": 12})
    assert min(reached(results)) == 12
    folder = tmp_path / "search"
    assert (folder / "pbt_global.txt").read_text()
    file = min(folder.glob("pbt_policy_*.txt"))
    trial_id = file.stem.removeprefix("pbt_policy_")
    original = next(result for result in results if result.metrics["trial_id"] == trial_id)
    replay = PopulationBasedTrainingReplay(file)
    replayed = searched(trainable, {"lr": 0.0}, replay, tmp_path / "replay", stop={"training_iteration": 12})
    assert replayed[0].metrics["score"] == pytest.approx(original.metrics["score"])
    assert replayed[0].config == original.config


@pytest.mark.parametrize("trainable", [climb, Climber])
def test_a_replay_goes_on_from_where_it_is_at_each_change(trainable: Any, tmp_path: Path) -> None:
    policy = [["1", "0", 3, 3, {"lr": 1.0}, {"lr": 2.0}], ["2", "1", 6, 6, {"lr": 2.0}, {"lr": 5.0}]]
    (tmp_path / "policy.txt").write_text("\n".join(map(json.dumps, policy)))
    replay = PopulationBasedTrainingReplay(tmp_path / "policy.txt")
    result = searched(trainable, {"lr": 0.0}, replay, tmp_path, stop={"training_iteration": 9})[0]
    assert (result.metrics["score"], result.config) == (3 * 1 + 3 * 2 + 3 * 5, {"lr": 5.0})


def test_pb2(tmp_path: Path) -> None:
    scheduler = PB2(
        "training_iteration", "score", "max", perturbation_interval=2, hyperparam_bounds={"lr": [1.0, 9.0]}, synch=True
    )
    results = searched(Climber, LRS, scheduler, tmp_path, stop={"training_iteration": 10})
    assert reached(results) == [10] * 4
    assert max(result.config["lr"] for result in results) > 4.0


def test_resources_change_while_trials_run(tmp_path: Path) -> None:
    def asks(config: dict[str, Any]) -> None:
        import tempfile

        begun = 0
        if (checkpoint := tune.get_checkpoint()) is not None:
            begun = checkpoint.get_metadata()["step"]
        for step in range(begun + 1, 4):
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = tune.Checkpoint.from_directory(folder)
                checkpoint.set_metadata({"step": step})
                cpus = sum(bundle.get("CPU", 0) for bundle in tune.get_context().get_trial_resources().bundles)
                tune.report({"step": step, "cpus": cpus}, checkpoint=checkpoint)

    results = searched(asks, {}, ResourceChangingScheduler(), tmp_path)
    assert (results[0].metrics["step"], results[0].metrics["cpus"]) == (3, 4)


def test_stoppers(tmp_path: Path) -> None:
    stop = CombinedStopper(
        MaximumIterationStopper(6), TrialPlateauStopper("score", std=0.0, num_results=2, grace_period=2)
    )
    results = searched(Climber, {"lr": tune.grid_search([0.0, 1.0])}, TrialScheduler(), tmp_path, stop=stop)
    assert reached(results) == [2, 6]


def test_a_name_that_nobody_reports_ends_the_search_and_says_what_is_close(tmp_path: Path) -> None:
    results = searched(Climber, LRS, ASHAScheduler(metric="scores", mode="max"), tmp_path)
    assert len(results.errors) == 4 and "Did you mean 'score'" in str(results.errors[0])


@pytest.mark.parametrize(
    "scheduler",
    [
        ASHAScheduler(max_t=6, reduction_factor=2),
        HyperBandScheduler(max_t=6, reduction_factor=2),
        MedianStoppingRule("training_iteration", grace_period=1),
        PopulationBasedTraining(
            "training_iteration", perturbation_interval=2, hyperparam_mutations={"lr": [1.0, 2.0]}, require_attrs=False
        ),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_reports_without_the_metric_decide_nothing_where_nobody_is_strict(
    scheduler: TrialScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.tune.search.optuna import OptunaSearch

    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")

    class Forgets(Climber):
        def step(self) -> dict[str, Any]:
            result = super().step()
            return result if self.iteration % 2 else {"other": 1}

    searcher = OptunaSearch(seed=1)
    results = searched(
        Forgets,
        {"lr": tune.uniform(1, 2)},
        scheduler,
        tmp_path,
        metric="score",
        mode="max",
        search_alg=searcher,
        num_samples=3,
        stop={"training_iteration": 6},
    )
    assert max(reached(results)) == 6
    assert len(searcher.study.trials) == 3


def test_a_scheduler_and_a_searcher_serve_two_searches(tmp_path: Path) -> None:
    from shoal.tune.search.optuna import OptunaSearch

    scheduler, searcher = ASHAScheduler(max_t=4), OptunaSearch()
    for name in ("one", "two"):
        results = searched(
            Climber,
            {"lr": tune.uniform(1, 2)},
            scheduler,
            tmp_path / name,
            metric="score",
            mode="max",
            search_alg=searcher,
            num_samples=2,
        )
        assert len(reached(results)) == 2
    assert len(searcher.study.trials) == 4
    with pytest.raises(InvalidArgumentError, match="AsyncHyperBandScheduler has its own"):
        searched(Climber, LRS, scheduler, tmp_path / "three", metric="used", mode="max")


def test_a_schedulers_state_in_a_file(tmp_path: Path) -> None:
    scheduler = ASHAScheduler(metric="score", mode="max", max_t=4)
    searched(Climber, LRS, scheduler, tmp_path)
    scheduler.save(str(tmp_path / "scheduler.pkl"))
    other = ASHAScheduler(metric="score", mode="max", max_t=4)
    assert other.debug_string() != scheduler.debug_string()
    other.restore(str(tmp_path / "scheduler.pkl"))
    assert other.debug_string() == scheduler.debug_string()
