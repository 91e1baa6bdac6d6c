"""The default module of SAC (and CQL): a policy, critics of its actions with targets, and a temperature."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.distribution.torch.action_distributions import distribution_class_for
from shoal.rllib.core.models.torch.encoder import Encoder, Tokenizer, _initializers
from shoal.rllib.core.models.torch.layers import mlp
from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.apis.target_network_api import TargetNetworkAPI
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from shoal.rllib.utils.error import UnsupportedSpaceException

QF_PREDS = "qf_preds"

_OWN_SETTINGS: dict[str, Any] = {"twin_q": True, "initial_alpha": 1.0}
"""What `model_config` may have besides DefaultModelConfig's; the algorithm's configuration gives it."""


class Critic(nn.Module):
    """Values of observations with an action each, or (without actions) of all actions.

    Args:
        space: of observations.
        action_size: how many numbers an action has; 0 for none.
        outputs: how many values come out.
        config: the networks' form.
    """

    def __init__(self, space: gym.Space[Any], action_size: int, outputs: int, config: DefaultModelConfig) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(space, config)
        size = self.tokenizer.output_size + action_size
        self.layers = mlp(
            size,
            config.fcnet_hiddens,
            config.fcnet_activation,
            layernorm=config.fcnet_use_layernorm,
            **_initializers(config, "fcnet"),
        )
        self.head = mlp(
            config.fcnet_hiddens[-1] if config.fcnet_hiddens else size,
            config.head_fcnet_hiddens,
            config.head_fcnet_activation,
            output_size=outputs,
            layernorm=config.head_fcnet_use_layernorm,
            **_initializers(config, "head_fcnet"),
        )

    def forward(self, observations: Any, actions: Tensor | None) -> Tensor:
        features = self.tokenizer(observations)
        if actions is not None:
            features = torch.cat([features, actions.reshape(len(actions), -1)], -1)
        values: Tensor = self.head(self.layers(features))
        return values if actions is None else values.squeeze(-1)


class DefaultSACRLModule(TorchRLModule, InferenceOnlyAPI, TargetNetworkAPI, QNetAPI):
    """An encoder with a head for the policy, and one or two critics of their own. `model_config`: `DefaultModelConfig`'s.

    Actions of a Box are squashed Gaussians between -1 and 1; of a Discrete space categorical.
    """

    def setup(self) -> None:
        own = {name: self.model_config.get(name, value) for name, value in _OWN_SETTINGS.items()}
        config = DefaultModelConfig.of({k: v for k, v in self.model_config.items() if k not in _OWN_SETTINGS})
        if not isinstance(self.action_space, gym.spaces.Box | gym.spaces.Discrete):
            raise UnsupportedSpaceException(
                f"action_space is {self.action_space!r}, and SAC's default module takes Box and Discrete; use PPO, or a module of your own"
            )
        if config.use_lstm:
            raise UnsupportedSpaceException(
                "model_config has use_lstm=True, and SAC's module has no memory; stack frames by the connectors "
                "FrameStackingEnvToModule and FrameStackingLearner, or have PPO, IMPALA or APPO learn, whose modules may have one"
            )
        assert self.observation_space is not None
        self.is_discrete = isinstance(self.action_space, gym.spaces.Discrete)
        self.action_dist_cls = distribution_class_for(self.action_space, squashed=True)
        outputs = self.action_dist_cls.required_input_dim(self.action_space)
        if config.action_mask_key is not None:
            raise UnsupportedSpaceException(
                f"observations have a mask of actions under {config.action_mask_key!r}, and SAC's module does not keep to it; use PPO or "
                "DQN, or let a wrapper take the mask out of observations"
            )
        self.pi_encoder = Encoder(self.observation_space, config)
        self.pi = mlp(
            self.pi_encoder.output_size,
            config.head_fcnet_hiddens,
            config.head_fcnet_activation,
            output_size=outputs,
            layernorm=config.head_fcnet_use_layernorm,
            **_initializers(config, "head_fcnet"),
        )
        action_size = 0 if self.is_discrete else math.prod(self.action_space.shape or ())
        self.critics = nn.ModuleList(
            Critic(self.observation_space, action_size, outputs if self.is_discrete else 1, config)
            for _ in range(2 if own["twin_q"] else 1)
        )
        self._critics_parameters = list(self.critics.parameters())
        self._target_critics: nn.ModuleList | None = None
        self.log_alpha = nn.Parameter(torch.tensor(math.log(own["initial_alpha"])))

    def get_non_inference_attributes(self) -> list[str]:
        return ["critics", "_target_critics", "log_alpha"]

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features, _ = self.pi_encoder(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self.pi(features)}

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns `qf_preds`: each critic's values of the actions, shape (critics, B); without actions of all, (critics, B, n)."""
        return {QF_PREDS: self._valued(self.critics, batch)}

    def _valued(self, critics: nn.ModuleList, batch: dict[str, Any]) -> Tensor:
        actions = None if self.is_discrete else batch[Columns.ACTIONS]
        return torch.stack([critic(batch[Columns.OBS], actions) for critic in critics])

    @contextmanager
    def critics_as_they_are(self) -> Iterator[None]:
        """What is computed in the block changes no critic: gradients flow through them, to actions, and not into them."""
        for parameter in self._critics_parameters:
            parameter.requires_grad = False
        try:
            yield
        finally:
            for parameter in self._critics_parameters:
                parameter.requires_grad = True

    def make_target_networks(self) -> None:
        self._target_critics = copy.deepcopy(self.critics).requires_grad_(False)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.critics, self._target_critics)]

    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        assert self._target_critics is not None, "make_target_networks() comes first"
        return {QF_PREDS: self._valued(self._target_critics, batch)}
