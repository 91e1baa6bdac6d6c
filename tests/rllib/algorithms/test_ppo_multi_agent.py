"""PPO with several policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from shoal.rllib.utils.error import ConfigError


def small() -> PPOConfig:
    config = PPOConfig().environment(MultiAgentCartPole, env_config={"num_agents": 2}).env_runners(num_env_runners=0)
    config.training(train_batch_size_per_learner=100, minibatch_size=50, num_epochs=2, lr=1e-3)
    config.multi_agent(policies={"p0", "p1"}, policy_mapping_fn=lambda agent, episode, **_: f"p{agent}")
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, bool]:
    return {
        name: any(not np.array_equal(value, after[name][key]) for key, value in before[name].items()) for name in before
    }


def test_each_policy_learns_from_its_agents() -> None:
    with small().build_algo() as algo:
        before = algo.get_weights()
        result = algo.train()
        assert changed(before, algo.get_weights()) == {"p0": True, "p1": True}
    assert set(result["learners"]) == {"p0", "p1", "__all_modules__"}
    assert set(result["env_runners"]["module_episode_returns_mean"]) == {"p0", "p1"}


def test_only_policies_that_are_to_be_trained_are() -> None:
    with small().multi_agent(policies_to_train=["p1"]).build_algo() as algo:
        before = algo.get_weights()
        result = algo.train()
        assert changed(before, algo.get_weights()) == {"p0": False, "p1": True}
    assert "p0" not in result["learners"]


def test_policies_have_learning_rates_of_their_own() -> None:
    config = small().rl_module(algorithm_config_overrides_per_module={"p0": PPOConfig.overrides(lr=0.0)})
    with config.build_algo() as algo:
        before = algo.get_weights()
        learned = algo.train()["learners"]
        assert (learned["p0"]["curr_lr"], learned["p1"]["curr_lr"]) == (0.0, 1e-3)
        assert changed(before, algo.get_weights()) == {"p0": False, "p1": True}


def test_it_is_the_same_when_it_is_resumed(tmp_path: Any) -> None:
    with small().build_algo() as algo:
        algo.train()
        path = algo.save_to_path(tmp_path / "one")
        algo.train()
        straight = algo.get_weights()
    with PPO.from_checkpoint(path) as algo:
        algo.train()
        assert changed(straight, algo.get_weights()) == {"p0": False, "p1": False}


def test_policies_come_and_go() -> None:
    with small().build_algo() as algo:
        algo.train()
        spec = RLModuleSpec.from_module(algo.get_module("p0"))
        algo.add_module("p2", spec, new_agent_to_module_mapping_fn=lambda agent, episode, **_: f"p{2 - agent}")
        algo.train()
        assert {"p1", "p2"} <= set(algo.train()["learners"])
        with pytest.raises(ConfigError, match="already"):
            algo.add_module("p2", spec)
        algo.remove_module("p2", new_agent_to_module_mapping_fn=lambda agent, episode, **_: f"p{agent}")
        assert "p2" not in algo.get_weights()
        assert {"p0", "p1"} <= set(algo.train()["learners"])
