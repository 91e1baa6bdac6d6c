"""The default module of IQL: a policy, a value function, and critics of actions with targets, each with networks of its own."""

from __future__ import annotations

import copy
import math
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.apis.target_network_api import TargetNetworkAPI
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule
from shoal.rllib.core.rl_module.torch.default_sac_rl_module import QF_PREDS, Critic
from shoal.rllib.utils.error import UnsupportedSpaceException


class DefaultIQLRLModule(DefaultActorCriticRLModule, TargetNetworkAPI, QNetAPI):
    """PPO's networks, and one or two critics besides. `model_config`: `DefaultModelConfig`'s, and `twin_q`."""

    def setup(self) -> None:
        given = self.model_config
        twin = bool(given.get("twin_q", True))
        # The critics' losses must not move the policy.
        own = {**{name: value for name, value in given.items() if name != "twin_q"}, "vf_share_layers": False}
        self.model_config = own
        super().setup()
        self.model_config = given
        space: Any = self.action_space
        if not isinstance(space, gym.spaces.Box | gym.spaces.Discrete):
            raise UnsupportedSpaceException(
                f"action_space is {space!r}, and IQL's default module takes Box and Discrete; use MARWIL, or a module of your own"
            )
        assert self.observation_space is not None
        config = DefaultModelConfig.of(own)
        self.is_discrete = isinstance(space, gym.spaces.Discrete)
        size = math.prod(space.shape or ())
        outputs = 1
        if isinstance(space, gym.spaces.Discrete):
            size, outputs = 0, int(space.n)
        self.critics = nn.ModuleList(
            Critic(self.observation_space, size, outputs, config) for _ in range(2 if twin else 1)
        )
        self._target_critics: nn.ModuleList | None = None

    def get_non_inference_attributes(self) -> list[str]:
        return [*super().get_non_inference_attributes(), "critics", "_target_critics"]

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns `qf_preds`: each critic's values of the batch's actions, shape (critics, B)."""
        return {QF_PREDS: self._valued(self.critics, batch)}

    def _valued(self, critics: nn.ModuleList, batch: dict[str, Any]) -> Tensor:
        actions = batch[Columns.ACTIONS]
        if not self.is_discrete:
            return torch.stack([critic(batch[Columns.OBS], actions) for critic in critics])
        every = torch.stack([critic(batch[Columns.OBS], None) for critic in critics])
        return every.gather(-1, actions.long()[None, :, None].expand(len(every), -1, 1)).squeeze(-1)

    def make_target_networks(self) -> None:
        self._target_critics = copy.deepcopy(self.critics).requires_grad_(False)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.critics, self._target_critics)]

    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        assert self._target_critics is not None, "make_target_networks() comes first"
        return {QF_PREDS: self._valued(self._target_critics, batch)}
