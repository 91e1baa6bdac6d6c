"""Trials as classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shoal import tune
from shoal.tune.exceptions import InvalidReportError
from shoal.tune.schedulers import PopulationBasedTraining
from shoal.tune.trainable.function_trainable import wrap_function


class Halves(tune.Trainable):
    """x halves with each step."""

    def setup(self, config: dict[str, Any]) -> None:
        self.x = config["x"]
        self.made = os.urandom(4).hex()

    def step(self) -> dict[str, Any]:
        self.x /= 2
        return {"x": self.x, "object": self.made, "iteration": self.iteration}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"x": self.x}

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.x = checkpoint["x"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.x = new_config["x"]
        return True

    def cleanup(self) -> None:
        Path(self.logdir, "cleaned").write_text("yes")


class Files(Halves):
    """The same, with files."""

    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        Path(checkpoint_dir, "x").write_text(str(self.x))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.x = float(Path(checkpoint, "x").read_text())


@pytest.fixture
def run_config(tmp_path: Path) -> Any:
    def made(**arguments: Any) -> tune.RunConfig:
        return tune.RunConfig(storage_path=tmp_path, name="search", verbose=0, **arguments)

    return made


def test_steps_checkpoints_and_the_end(run_config: Any) -> None:
    results = tune.Tuner(
        Halves,
        param_space={"x": tune.grid_search([1.0, 2.0])},
        run_config=run_config(
            stop={"training_iteration": 5},
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=2, checkpoint_at_end=True),
        ),
    ).fit()
    for result in results:
        assert result.metrics["x"] == result.config["x"] / 32
        assert result.metrics["iteration"] == 4
        assert len({row["object"] for row in result.history}) == 1
        names = sorted(path.name for path in Path(result.path).iterdir() if path.name.startswith("checkpoint"))
        assert names == ["checkpoint_000000", "checkpoint_000001", "checkpoint_000002"]
        assert Path(result.path, "cleaned").exists()
    assert results[0].metrics["object"] != results[1].metrics["object"]


@pytest.mark.parametrize("kind", [Halves, Files])
def test_a_class_goes_on_from_its_checkpoint(kind: Any, run_config: Any) -> None:
    class Fails(kind):  # type: ignore[misc]
        def step(self) -> dict[str, Any]:
            if self.iteration == 3 and not Path(self.logdir, "failed").exists():
                Path(self.logdir, "failed").touch()
                raise ValueError("once")
            found: dict[str, Any] = super().step()
            return found

    results = tune.Tuner(
        Fails,
        param_space={"x": 1.0},
        run_config=run_config(
            stop={"training_iteration": 5},
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
        ),
    ).fit()
    assert results.num_errors == 0
    assert results[0].metrics["x"] == 1 / 32
    assert len(results[0].history) == 5


def test_a_step_says_that_it_is_done_and_wants_a_checkpoint(run_config: Any) -> None:
    class Done(Halves):
        def step(self) -> dict[str, Any]:
            return super().step() | {"done": self.iteration == 2, "should_checkpoint": self.iteration == 1}

    results = tune.Tuner(Done, param_space={"x": 1.0}, run_config=run_config()).fit()
    assert results[0].metrics["training_iteration"] == 3
    assert [path.name for path in Path(results[0].path).glob("checkpoint_*")] == ["checkpoint_000000"]


def test_objects_are_used_again_where_it_is_asked_for(run_config: Any) -> None:
    config = tune.TuneConfig(num_samples=3, max_concurrent_trials=1, reuse_actors=True)
    results = tune.Tuner(
        Halves,
        param_space={"x": tune.uniform(1, 2)},
        tune_config=config,
        run_config=run_config(stop={"training_iteration": 2}),
    ).fit()
    assert len({result.metrics["object"] for result in results}) == 1
    assert all(result.metrics["x"] == result.config["x"] / 4 for result in results)


def test_population_based_training_of_a_class(run_config: Any) -> None:
    results = tune.Tuner(
        Halves,
        param_space={"x": tune.grid_search([1.0, 1000.0, 2.0, 2000.0])},
        tune_config=tune.TuneConfig(
            metric="x",
            mode="min",
            scheduler=PopulationBasedTraining(
                time_attr="training_iteration",
                perturbation_interval=2,
                synch=True,
                hyperparam_mutations={"x": tune.uniform(1, 2)},
            ),
        ),
        run_config=run_config(stop={"training_iteration": 8}),
    ).fit()
    assert results.num_errors == 0
    assert {result.metrics["training_iteration"] for result in results} == {8}
    assert max(result.metrics["x"] for result in results) < 1


def test_nonsense_from_a_step(run_config: Any) -> None:
    class Nonsense(tune.Trainable):
        def step(self) -> Any:
            return 3

    results = tune.Tuner(Nonsense, run_config=run_config()).fit()
    assert isinstance(results.errors[0], InvalidReportError)


def test_a_class_with_parameters(run_config: Any) -> None:
    class Data(tune.Trainable):
        def setup(self, config: dict[str, Any], data: Any = None) -> None:
            self.data = data

        def step(self) -> dict[str, Any]:
            return {"length": len(self.data), "done": True}

    results = tune.Tuner(tune.with_parameters(Data, data=[1, 2, 3]), run_config=run_config()).fit()
    assert results[0].metrics["length"] == 3


def test_a_class_says_what_it_needs(run_config: Any) -> None:
    class Two(Halves):
        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
            return tune.PlacementGroupFactory([{"CPU": config["cpus"]}])

        def step(self) -> dict[str, Any]:
            assert self.trial_resources is not None
            return {"cpus": self.trial_resources.head_cpus, "done": True}

    results = tune.Tuner(Two, param_space={"x": 1, "cpus": tune.grid_search([1, 2])}, run_config=run_config()).fit()
    assert [result.metrics["cpus"] for result in results] == [1, 2]


def test_a_class_by_itself(tmp_path: Path) -> None:
    trial = Halves({"x": 8.0})
    assert trial.train()["x"] == 4
    result = trial.train()
    assert (result["training_iteration"], result["done"], result["trial_id"]) == (2, False, "default")
    checkpoint = trial.save(str(tmp_path))
    other = Halves({"x": 1.0})
    other.restore(checkpoint)
    assert (other.training_iteration, other.train()["x"]) == (2, 1)
    assert len(other.train_buffered(60, max_buffer_length=3)) == 3
    assert other.reset({"x": 4.0})
    assert (other.iteration, other.get_config()) == (0, {"x": 4.0})
    trial.stop()
    assert Path(trial.logdir, "cleaned").exists()


def test_a_function_as_a_class() -> None:
    def function(config: dict[str, Any]) -> None:
        for step in range(2):
            tune.report({"step": step})

    trial = wrap_function(function)({"x": 1})
    assert [trial.train()["step"], trial.train()["step"]] == [0, 1]
    assert trial.train()["done"] is True
    assert wrap_function(lambda config: {"y": config["x"]})({"x": 3}).train()["y"] == 3


def test_what_a_class_does_not_define_is_named() -> None:
    class Empty(tune.Trainable):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no step"):
        Empty().train()
    with pytest.raises(NotImplementedError, match="save_checkpoint"):
        Empty().save()
