"""EnvPool in a runner, the real one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.utils.error import EnvError

pytest.importorskip("envpool")


def config_of(env: str) -> Any:
    config = PPOConfig().environment(env).debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})
    return config.env_runners(num_env_runners=0, num_envs_per_env_runner=4, gym_env_vectorize_mode="envpool")


def test_episodes_of_a_pool_are_whole_and_repeatable() -> None:
    runners = [SingleAgentEnvRunner(config=config_of("CartPole-v1")) for _ in range(2)]
    first, second = (runner.sample(num_timesteps=400) for runner in runners)
    done = [episode for episode in first if episode.is_done]
    assert len(done) > 5
    for episode in done:
        assert episode.get_return() == len(episode)  # the reset, which brings nothing, is no step
        assert [int(info["elapsed_step"]) for info in episode.get_infos()] == list(range(len(episode) + 1))
        assert abs(episode.get_observations(0)).max() <= 0.05
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.get_observations(), other.get_observations())
    for runner in runners:
        runner.stop()


def test_actions_of_a_pool_are_stretched() -> None:
    runner = SingleAgentEnvRunner(config=config_of("Pendulum-v1"))
    assert sum(map(len, runner.sample(num_timesteps=100))) == 100
    runner.stop()


def test_a_task_that_there_is_not_is_named() -> None:
    with pytest.raises(EnvError, match=r"no such task.*CartPole"):
        SingleAgentEnvRunner(config=config_of("CartPole-v9"))
