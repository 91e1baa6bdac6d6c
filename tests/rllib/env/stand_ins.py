"""A module and a configuration that have just what a runner asks of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import torch
from torch import nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.distribution.torch.action_distributions import distribution_class_for


class SmallModule(nn.Module):
    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], hidden: int = 16) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.cls = distribution_class_for(action_space)
        size = int(self.cls.required_input_dim(action_space))
        inputs = int(torch.tensor(observation_space.shape).prod())
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, size),
        )

    def is_stateful(self) -> bool:
        return False

    def get_exploration_action_dist_cls(self) -> Any:
        return self.cls

    get_inference_action_dist_cls = get_exploration_action_dist_cls

    def forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.net(batch[Columns.OBS].float())}

    forward_inference = forward_exploration

    def get_state(self, **kwargs: Any) -> dict[str, Any]:
        return {key: value.numpy().copy() for key, value in self.state_dict().items()}

    def set_state(self, state: dict[str, Any]) -> None:
        self.load_state_dict({key: torch.as_tensor(value) for key, value in state.items()})


class Config(SimpleNamespace):
    def get_rl_module_spec(self, env: Any, spaces: Any, inference_only: bool) -> Any:
        make = self.module or (lambda: SmallModule(*spaces["default_policy"], hidden=self.hidden))
        return SimpleNamespace(build=make)

    def get_rollout_fragment_length(self, worker_index: int = 0) -> int:
        return self.rollout_fragment_length


def config_of(env: Any, *, module: Callable[[], Any] | None = None, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "env": env,
        "env_config": {},
        "seed": 0,
        "num_envs_per_env_runner": 2,
        "rollout_fragment_length": 50,
        "batch_mode": "truncate_episodes",
        "explore": True,
        "gym_env_vectorize_mode": "sync",
        "restart_failed_sub_environments": False,
        "create_env_on_local_worker": False,
        "normalize_actions": True,
        "clip_actions": False,
        "episode_lookback_horizon": 1,
        "disable_env_checking": False,
        "metrics_num_episodes_for_smoothing": 100,
        "module": module,
        "hidden": 16,
    }
    return Config(**(settings | changes))
