"""PPO with several policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from shoal.rllib.utils.error import CheckpointError, ConfigError


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


def test_only_policies_that_are_to_be_trained_are(tmp_path: Path) -> None:
    config = small().multi_agent(policies_to_train=["p1"]).checkpointing(checkpoint_trainable_policies_only=True)
    with config.build_algo() as algo:
        before = algo.get_weights()
        result = algo.train()
        trained = algo.get_weights()
        assert changed(before, trained) == {"p0": False, "p1": True}
        algo.save_to_path(tmp_path / "saved")
    assert "p0" not in result["learners"]
    modules = tmp_path / "saved" / "learner_group" / "learner" / "rl_module"
    assert sorted(path.name for path in modules.iterdir() if path.is_dir()) == ["p1"]
    with config.debugging(seed=2).build_algo() as other:
        own = other.get_weights()
        other.restore_from_path(tmp_path / "saved")
        assert changed(own, other.get_weights()) == {"p0": False, "p1": True}
        assert changed(trained, other.get_weights()) == {"p0": True, "p1": False}


def test_policies_have_learning_rates_of_their_own() -> None:
    config = small().rl_module(algorithm_config_overrides_per_module={"p0": PPOConfig.overrides(lr=0.0)})
    with config.build_algo() as algo:
        before = algo.get_weights()
        learned = algo.train()["learners"]
        assert (learned["p0"]["curr_lr"], learned["p1"]["curr_lr"]) == (0.0, 1e-3)
        assert changed(before, algo.get_weights()) == {"p0": False, "p1": True}


def test_a_batch_may_be_counted_by_what_agents_do() -> None:
    def steps(count_steps_by: str) -> tuple[int, int]:
        with small().multi_agent(count_steps_by=count_steps_by).build_algo() as algo:
            found = algo.train()["env_runners"]
            return found["num_env_steps_sampled"], sum(found["num_agent_steps_sampled"].values())

    by_env, of_both = steps("env_steps")
    assert by_env == 100 and 150 < of_both <= 200
    of_env, by_agents = steps("agent_steps")
    assert 100 <= by_agents <= 101 and 50 <= of_env < 75


def test_an_algorithm_becomes_another() -> None:
    with small().build_algo() as algo:
        algo.train()
        with pytest.raises(ConfigError, match="gamma is 2"):
            algo.reset({"gamma": 2})
        assert algo.train()["training_iteration"] == 2
        assert algo.reset(small().training(gamma=0.5)) is True
        assert (algo.iteration, algo.config.gamma) == (0, 0.5)
        assert algo.train()["training_iteration"] == 1


def test_it_is_the_same_when_it_is_resumed(tmp_path: Any) -> None:
    with small().build_algo() as algo:
        algo.train()
        path = algo.save_to_path(tmp_path / "one")
        algo.train()
        straight = algo.get_weights()
    with PPO.from_checkpoint(path) as algo:
        algo.train()
        assert changed(straight, algo.get_weights()) == {"p0": False, "p1": False}


def test_policies_come_and_go_also_where_it_is_resumed(tmp_path: Any) -> None:
    with small().build_algo() as algo:
        algo.train()
        spec = RLModuleSpec.from_module(algo.get_module("p0"))
        algo.add_module("p2", spec, new_agent_to_module_mapping_fn=lambda agent, episode, **_: f"p{2 - agent}")
        algo.train()
        assert {"p1", "p2"} <= set(algo.train()["learners"])
        with pytest.raises(ConfigError, match="already"):
            algo.add_module("p2", spec)
        path = algo.save_to_path(tmp_path / "with_p2")
        algo.train()
        straight = algo.get_weights()
        algo.remove_module("p2", new_agent_to_module_mapping_fn=lambda agent, episode, **_: f"p{agent}")
        assert "p2" not in algo.get_weights()
        assert {"p0", "p1"} <= set(algo.train()["learners"])
        without = algo.save_to_path(tmp_path / "without_p2")
    with PPO.from_checkpoint(path) as algo:
        assert list(algo.config.policies) == ["p0", "p1", "p2"]
        algo.train()
        assert changed(straight, algo.get_weights()) == {"p0": False, "p1": False, "p2": False}
    with PPO.from_checkpoint(without) as algo:
        assert list(algo.get_weights()) == ["p0", "p1"]
        algo.train()
    with pytest.raises(CheckpointError, match=r"policy_ids has 'p3', and the checkpoint has \['p0', 'p1', 'p2'\]"):
        PPO.from_checkpoint(path, policy_ids=["p2", "p3"])
    mapping = lambda agent, episode, **_: "p2"  # noqa: E731
    with PPO.from_checkpoint(path, policy_ids=["p2"], policy_mapping_fn=mapping) as algo:
        assert list(algo.get_weights()) == ["p2"] and not changed(straight, algo.get_weights() | straight)["p0"]


def test_one_agent_has_one_policy() -> None:
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0)
    with config.build_algo() as algo, pytest.raises(ConfigError, match=r"add_module\(\) is for .* several policies"):
        algo.add_module("p2", RLModuleSpec())
