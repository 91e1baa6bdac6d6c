"""Tune runs algorithms: by name, by class, from configurations with something to search in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from shoal import tune
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module import RLModule
from shoal.rllib.env.registration import register_env

pytestmark = pytest.mark.usefixtures("session")


def small() -> PPOConfig:
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0)
        .rl_module(model_config={"fcnet_hiddens": [16]})
    )
    return config.training(train_batch_size_per_learner=100, minibatch_size=50, num_epochs=1)


def test_by_name_with_a_configuration_as_the_space(tmp_path: Path) -> None:
    config = small().training(lr=tune.grid_search([1e-3, 1e-4])).debugging(seed=0)
    run = tune.RunConfig(
        stop={"num_env_steps_sampled_lifetime": 150},
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        storage_path=str(tmp_path),
    )
    results = tune.Tuner("PPO", param_space=config, run_config=run).fit()
    assert [result.error for result in results] == [None, None]
    assert sorted(result.config["lr"] for result in results) == [1e-4, 1e-3]  # type: ignore[index]
    for result in results:
        metrics: Any = result.metrics
        assert metrics["training_iteration"] == 2 and metrics["env_runners"]["episode_return_mean"] > 0
    best = results.get_best_result("env_runners/episode_return_mean", "max")
    assert best.checkpoint is not None
    with PPO.from_checkpoint(best.checkpoint) as algo:
        assert algo.iteration == 2 and algo.config.lr == best.config["lr"]  # type: ignore[index]
    # Parts are where those of any checkpoint of an algorithm are.
    module = RLModule.from_checkpoint(
        Path(best.checkpoint.path, "learner_group", "learner", "rl_module", "default_policy")
    )
    assert module.get_state()


def test_by_class_with_runners_inside_the_trials_resources_and_an_environment_by_its_name(tmp_path: Path) -> None:
    # The name is known to this process alone; the trial's and the runners' come to know it.
    register_env("short pole", lambda context: gym.make("CartPole-v1", max_episode_steps=7))
    config = small().environment("short pole").env_runners(num_env_runners=2)
    run = tune.RunConfig(stop={"env_runners/num_episodes_lifetime": 1}, storage_path=str(tmp_path))
    (result,) = tune.Tuner(PPO, param_space=config.as_param_space(), run_config=run).fit()
    assert result.error is None
    assert result.metrics["fault_tolerance"]["num_healthy_workers"] == 2  # type: ignore[index]
    assert result.metrics["env_runners"]["episode_len_max"] == 7  # type: ignore[index]


def test_functions_know_environments_by_their_names(tmp_path: Path) -> None:
    register_env("short pole", lambda context: gym.make("CartPole-v1", max_episode_steps=5))
    tune.register_env("shorter pole", lambda context: gym.make("CartPole-v1", max_episode_steps=3))

    def longest(name: str) -> int:
        with small().environment(name).build_algo() as algo:
            return max(map(len, algo.sample_batch(40)))

    def searched(config: dict[str, Any]) -> dict[str, Any]:
        return {name: longest(name) for name in ("short pole", "shorter pole")}

    run = tune.RunConfig(storage_path=str(tmp_path), verbose=0)
    (result,) = tune.Tuner(searched, run_config=run).fit()
    assert result.error is None
    assert (result.metrics["short pole"], result.metrics["shorter pole"]) == (5, 3)  # type: ignore[index]


@pytest.mark.slow  # three libraries, each of which takes a second or two to come
def test_results_go_to_tensorboard_mlflow_and_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("mlflow", "tensorboard", "tensorboardX", "wandb"):
        pytest.importorskip(library)
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from shoal.air.integrations.mlflow import MLflowLoggerCallback
    from shoal.air.integrations.wandb import WandbLoggerCallback

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = str(tmp_path / "runs")
    run = tune.RunConfig(
        stop={"training_iteration": 2},
        storage_path=str(tmp_path / "storage"),
        callbacks=[MLflowLoggerCallback(store, experiment_name="poles"), WandbLoggerCallback("poles")],
    )
    (result,) = tune.Tuner("PPO", param_space=small().debugging(seed=0), run_config=run).fit()
    assert result.error is None and result.path is not None
    wanted = result.metrics["env_runners"]["episode_return_mean"]  # type: ignore[index]
    client = MlflowClient(store)
    (kept,) = client.search_runs([client.get_experiment_by_name("poles").experiment_id])
    assert kept.data.metrics["env_runners/episode_return_mean"] == wanted
    events = EventAccumulator(result.path)
    events.Reload()
    drawn = events.Scalars("ray/tune/env_runners/episode_return_mean")
    assert len(drawn) == 2 and drawn[-1].value == pytest.approx(wanted)
    assert list(Path(result.path).glob("**/offline-run-*/*.wandb"))


def test_what_a_trial_needs_follows_from_its_settings() -> None:
    asked = PPO.default_resource_request({"num_env_runners": 2, "num_learners": 1, "num_cpus_per_env_runner": 2})
    assert [dict(bundle) for bundle in asked.bundles] == [{"CPU": 1}, {"CPU": 1}, {"CPU": 2}, {"CPU": 2}]


def test_names_that_nobody_has_are_refused() -> None:
    with pytest.raises(tune.TuneError, match="PPOO"):
        tune.Tuner("PPOO")
