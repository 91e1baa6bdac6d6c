"""What is asked of an algorithm that it cannot do, or cannot do any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.apis import ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule
from shoal.rllib.utils.error import CheckpointError, ConfigError, EnvError, NotSerializable, StoppedError


class Box(gym.Env[Any, Any]):
    """Has observations of as many numbers as it is told."""

    def __init__(self, config: Any) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (config.get("size", 3),), np.float32)
        self.action_space = gym.spaces.Discrete(config.get("actions", 2))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(self.observation_space.shape, np.float32), 1.0, True, False, {}


def small(**env_config: Any) -> PPOConfig:
    config = PPOConfig().environment(Box, env_config=env_config).env_runners(num_env_runners=0)
    return config.rl_module(model_config={"fcnet_hiddens": [4]})


@pytest.fixture(scope="module")
def algo() -> Iterator[PPO]:
    with small().build_algo() as built:
        yield built  # type: ignore[misc]


def test_what_is_gone_or_misspelled_is_told_with_what_there_is(algo: Any) -> None:
    with pytest.raises(AttributeError, match=r"'get_policy', which is of Ray's old API stack; get_module\(module_id\)"):
        algo.get_policy()
    with pytest.raises(AttributeError, match=r"'env_runer_group'\. Did you mean 'env_runner_group'"):
        algo.env_runer_group  # noqa: B018
    assert not hasattr(algo, "training_steps_of_mine")


def test_a_property_that_raises_is_told_as_it_is() -> None:
    class Broken(PPO):
        @property
        def mine(self) -> Any:
            raise AttributeError("within")

    with pytest.raises(AttributeError, match=r"^within$"):
        Broken.__new__(Broken).mine  # noqa: B018


def test_observations_of_another_form_are_not_acted_on(algo: Any) -> None:
    assert algo.compute_single_action(np.zeros(3, np.float32)) in (0, 1)
    with pytest.raises(EnvError, match=r"asked about 0: observation has shape \(5,\).*its space is Box"):
        algo.compute_single_action(np.zeros(5, np.float32))


def test_what_there_is_not_is_neither_set_nor_restored(algo: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"weights are of 'default_polcy', and modules are \['default_policy'\]\. Did you"
    ):
        algo.set_weights({"default_polcy": {}})
    path = algo.save_to_path(tmp_path / "saved")
    part = "learner_group/learner/rl_module/default_policy"
    algo.restore_from_path(f"{path}/{part}", component=part)
    with pytest.raises(
        CheckpointError, match=r"PPO has no part 'learner_grop'\. Did you mean 'learner_group'.*It has: \["
    ):
        algo.restore_from_path(f"{path}/learner_group", component="learner_grop")
    with pytest.raises(CheckpointError, match="LearnerGroup has no part 'env_runner'"):
        algo.restore_from_path(path, component="learner_group/env_runner")


class Wrong(TorchRLModule, ValueFunctionAPI):
    """Gives what `form` says."""

    def setup(self) -> None:
        self.layer = torch.nn.Linear(3, 2)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> Any:
        values = self.layer(batch["obs"])
        forms = {"tensor": values, "logits": {"logits": values}, "narrow": {"action_dist_inputs": values[..., :1]}}
        return forms[self.model_config["form"]]

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        return self.layer(batch["obs"])[..., 0]


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("tensor", r"Wrong's forward pass returned a Tensor; return a dict, with 'action_dist_inputs'"),
        ("logits", r"returned \['logits'\], and actions are drawn from 'action_dist_inputs'"),
        ("narrow", r"'action_dist_inputs' of shape \(1, 1\), and actions of Discrete\(2\) take 2 numbers"),
    ],
)
def test_modules_whose_outputs_make_no_actions_are_named(form: str, told: str, watched: bool) -> None:
    config = small().rl_module(rl_module_spec=RLModuleSpec(module_class=Wrong, model_config={"form": form}))
    if watched:
        config.callbacks(on_episode_step=lambda **kwargs: None)
    with config.build_algo() as built, pytest.raises(ConfigError, match=told):
        built.env_runner.sample(num_timesteps=1)  # type: ignore[union-attr]


def test_after_its_end_it_does_not_go_on() -> None:
    ended = small().build_algo()
    ended.stop()
    for call in (ended.train, ended.evaluate):
        with pytest.raises(StoppedError, match=r"this PPO was stopped.*PPO\.from_checkpoint"):
            call()


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    told = r"env_config\['simulator'\]\['lock'\].* cannot be pickled"
    with small(simulator={"lock": threading.Lock()}).build_algo() as locked, pytest.raises(NotSerializable, match=told):
        locked.save_to_path(tmp_path / "saved")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"size": 9}, r"observations are of Box\(.*\(9,\), float32\), and 'default_policy' is trained with"),
        ({"actions": 5}, r"actions are of Discrete\(5\), and 'default_policy' is trained with Discrete\(2\)"),
    ],
)
def test_a_policy_is_not_evaluated_where_it_cannot_act(other: dict[str, int], told: str) -> None:
    config = small().evaluation(evaluation_interval=1, evaluation_config={"env_config": other})
    with pytest.raises(ConfigError, match=told):
        config.build_algo()
