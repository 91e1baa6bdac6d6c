"""Evaluation: what it is given to do, and that its figures are its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib._internal.evaluation import Evaluation, in_pieces
from shoal.rllib.algorithms.ppo import PPO, PPOConfig


class Counting(gym.Env[Any, Any]):
    """Episodes of two steps; each brings as much as there were before it."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, config: Any = None) -> None:
        self.episodes = -1
        self.left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episodes += 1
        self.left = 2
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return np.zeros(2, np.float32), self.episodes / 2, self.left == 0, False, {}


def configured(**evaluation: Any) -> PPOConfig:
    config = PPOConfig().environment(Counting).env_runners(num_env_runners=0).debugging(seed=1)
    config.training(train_batch_size_per_learner=4, minibatch_size=4, num_epochs=1)
    config.rl_module(model_config={"fcnet_hiddens": [4]})
    return config.evaluation(**{"evaluation_interval": 2, "evaluation_duration": 3, **evaluation})


def test_each_evaluation_gives_its_own_figures_and_sums_go_on_from_checkpoints(tmp_path: Path) -> None:
    with configured().build_algo() as algo:
        assert "evaluation" not in algo.train()
        first = algo.train()["evaluation"]["env_runners"]
        second = algo.evaluate()["env_runners"]
        path = algo.save_to_path(tmp_path / "saved")
    assert first["num_episodes"] == second["num_episodes"] == 3
    assert second["episode_return_min"] > first["episode_return_max"]
    assert first["episode_return_max"] - first["episode_return_min"] == 2
    assert second["episode_return_mean"] == (second["episode_return_min"] + second["episode_return_max"]) / 2
    assert (first["num_episodes_lifetime"], second["num_episodes_lifetime"]) == (3, 6)
    with PPO.from_checkpoint(path) as restored:
        assert restored.evaluate()["env_runners"]["num_episodes_lifetime"] == 9


def test_more_episodes_than_are_smoothed_over_in_training_count_alike() -> None:
    config = configured(evaluation_duration=5).reporting(metrics_num_episodes_for_smoothing=2)
    with config.build_algo() as algo:
        found = algo.evaluate()["env_runners"]
    assert found["episode_return_max"] - found["episode_return_min"] == 4


def test_steps_are_counted_where_they_are_asked_for_and_nothing_is_left_of_earlier_episodes() -> None:
    def log(metrics_logger: Any, **_: Any) -> None:
        metrics_logger.log_value(("evaluation", "own"), 7, window=1)

    config = configured(evaluation_interval=1, evaluation_duration=5, evaluation_duration_unit="timesteps")
    with config.callbacks(on_evaluate_end=log).build_algo() as algo:
        algo.metrics.log_value(("evaluation", "env_runners", "of_the_last"), 1, reduce="item")
        evaluation = algo.train()["evaluation"]
    found = evaluation["env_runners"]
    assert (found["num_env_steps_sampled"], found["num_episodes"]) == (5, 2)
    assert "of_the_last" not in found
    assert evaluation["own"] == 7


def test_an_evaluation_beside_training_ends_when_training_raises(caplog: pytest.LogCaptureFixture) -> None:
    evaluation = Evaluation(configured(), None)
    evaluation.group.stop()
    begun, ended = threading.Event(), threading.Event()

    def work_through(*_: Any, **__: Any) -> tuple[list[Any], list[int]]:
        begun.set()
        ended.wait()
        return [], [1]

    evaluation.group = Mock(num_env_runners=1, work_through=work_through, abandon_work=ended.set)
    evaluation.group.healthy_env_runner_ids.return_value = [1]
    with pytest.raises(KeyboardInterrupt), evaluation.beside(Mock(env_runner=None)):
        begun.wait()
        raise KeyboardInterrupt
    assert ended.is_set() and not caplog.records  # nobody was late


@pytest.mark.parametrize(
    ("amount", "least", "pieces"),
    [(5, 2, [2, 2, 1]), (4, 4, [4]), (0, 3, []), (7, 1, [2, 2, 2, 1]), (10, 1, [3, 3, 3, 1])],
)
def test_work_comes_in_few_pieces(amount: int, least: int, pieces: list[int]) -> None:
    assert in_pieces(amount, least) == pieces
