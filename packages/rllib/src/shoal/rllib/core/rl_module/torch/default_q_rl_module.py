"""The default module of DQN: values of discrete actions, and actions that are mostly the best by them."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.models.torch.action_mask import ActionMask
from shoal.rllib.core.models.torch.encoder import Encoder, _initializers
from shoal.rllib.core.models.torch.layers import activation, mlp
from shoal.rllib.core.models.torch.noisy import NoisyLinear
from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.apis.target_network_api import TargetNetworkAPI
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from shoal.rllib.utils.error import UnsupportedSpaceException
from shoal.rllib.utils.schedules.scheduler import Scheduler

QF_PREDS = "qf_preds"
QF_LOGITS = "qf_logits"
QF_PROBS = "qf_probs"
ATOMS = "atoms"

_OWN_SETTINGS: dict[str, Any] = {
    "double_q": True,
    "dueling": True,
    "epsilon": 0.0,
    "noisy": False,
    "num_atoms": 1,
    "sigma0": 0.5,
    "v_min": -10.0,
    "v_max": 10.0,
}
"""What `model_config` may have besides DefaultModelConfig's; the algorithm's configuration gives it."""


class QNetwork(nn.Module):
    """Values of all actions, of one number or a distribution each.

    Args:
        observation_space: of what goes in.
        actions: how many there are.
        config: the networks' form.
        own: the settings above.
    """

    support: Tensor

    def __init__(
        self, observation_space: gym.Space[Any], actions: int, config: DefaultModelConfig, own: dict[str, Any]
    ) -> None:
        super().__init__()
        self._actions, self._atoms = actions, int(own["num_atoms"])
        self.encoder = Encoder(observation_space, config)
        self.advantage = _head(self.encoder.output_size, config, actions * self._atoms, own)
        self.value = _head(self.encoder.output_size, config, self._atoms, own) if own["dueling"] else None
        self.register_buffer("support", torch.linspace(own["v_min"], own["v_max"], self._atoms), persistent=False)
        self._noisy = [layer for layer in self.modules() if isinstance(layer, NoisyLinear)]

    def outputs(self, observations: Any) -> Tensor:
        """A value for each action, shape (B, actions); with several atoms their logits, (B, actions, atoms)."""
        features, _ = self.encoder(observations)
        outputs: Tensor = self.advantage(features)
        if self._atoms > 1:
            outputs = outputs.view(-1, self._actions, self._atoms)
        if self.value is not None:
            value = self.value(features)
            outputs = (value.unsqueeze(1) if self._atoms > 1 else value) + outputs - outputs.mean(1, keepdim=True)
        return outputs

    def values(self, outputs: Tensor) -> Tensor:
        """The values that outputs stand for, shape (B, actions)."""
        return outputs if self._atoms == 1 else torch.softmax(outputs, -1) @ self.support

    def draw_noise(self, generator: torch.Generator | None = None) -> None:
        for layer in self._noisy:
            layer.draw_noise(generator)

    def be_still(self) -> None:
        for layer in self._noisy:
            layer.be_still()


def _head(inputs: int, config: DefaultModelConfig, outputs: int, own: dict[str, Any]) -> nn.Module:
    if not own["noisy"]:
        return mlp(
            inputs,
            config.head_fcnet_hiddens,
            config.head_fcnet_activation,
            output_size=outputs,
            layernorm=config.head_fcnet_use_layernorm,
            **_initializers(config, "head_fcnet"),
        )
    layers: list[nn.Module] = []
    for hidden in config.head_fcnet_hiddens:
        layers += [NoisyLinear(inputs, hidden, own["sigma0"]), activation(config.head_fcnet_activation)]
        inputs = hidden
    return nn.Sequential(*layers, NoisyLinear(inputs, outputs, own["sigma0"]))


class DefaultQRLModule(TorchRLModule, InferenceOnlyAPI, TargetNetworkAPI, QNetAPI):
    """An encoder, and a head for the actions' advantages and (dueling) one for the state's value. `model_config`: `DefaultModelConfig`'s.

    It explores by a share `epsilon` of random actions, or by noise in the heads' weights.
    """

    def setup(self) -> None:
        own = {name: self.model_config.get(name, value) for name, value in _OWN_SETTINGS.items()}
        config = DefaultModelConfig.of({k: v for k, v in self.model_config.items() if k not in _OWN_SETTINGS})
        if not isinstance(self.action_space, gym.spaces.Discrete):
            raise UnsupportedSpaceException(
                f"action_space is {self.action_space!r}, and DQN chooses among single discrete actions; use SAC or PPO, or "
                "make the space Discrete"
            )
        if config.use_lstm:
            raise UnsupportedSpaceException(
                "model_config has use_lstm=True, and DQN's module has no memory; stack frames by the connectors "
                "FrameStackingEnvToModule and FrameStackingLearner, or have PPO, IMPALA or APPO learn, whose modules may have one"
            )
        assert self.observation_space is not None
        self.double_q, self.noisy, self.num_atoms = bool(own["double_q"]), bool(own["noisy"]), int(own["num_atoms"])
        self.v_min, self.v_max = float(own["v_min"]), float(own["v_max"])
        self.epsilon = Scheduler(0.0 if self.noisy else own["epsilon"], framework=None)
        self._mask = ActionMask.of(self.observation_space, config.action_mask_key)
        seen = self.observation_space if self._mask is None else self._mask.without(self.observation_space)
        self.q_net = QNetwork(seen, int(self.action_space.n), config, own)
        self._target_q_net: QNetwork | None = None

    def get_non_inference_attributes(self) -> list[str]:
        return ["_target_q_net"]

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        self.q_net.be_still()
        values = self._values(batch[Columns.OBS])
        return {Columns.ACTIONS: values.argmax(-1), Columns.ACTION_DIST_INPUTS: values}

    def _forward_exploration(
        self, batch: dict[str, Any], t: int = 0, generator: torch.Generator | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        if self.noisy:
            self.q_net.draw_noise(generator)
        values = self._values(batch[Columns.OBS])
        actions = values.argmax(-1)
        share = self.epsilon.update(t)
        if share > 0:
            by_chance = torch.rand(actions.shape, generator=generator) < share
            if self._mask is None:
                others = torch.randint(values.shape[-1], actions.shape, generator=generator)
            else:
                allowed = self._mask.allowed(batch[Columns.OBS]).float().cpu()
                others = torch.multinomial(allowed, 1, generator=generator).squeeze(-1)
            actions = torch.where(by_chance.to(actions.device), others.to(actions.device), actions)
        return {Columns.ACTIONS: actions}

    def _values(self, observations: Any) -> Tensor:
        """The values of all actions, those that are not allowed far below all."""
        values = self.q_net.values(self.q_net.outputs(observations))
        return values if self._mask is None else self._mask.applied(values, observations)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if self.noisy:
            self.q_net.draw_noise()
        outputs = self.q_net.outputs(batch[Columns.OBS])
        found = {QF_PREDS: self.q_net.values(outputs)}
        if self.num_atoms > 1:
            found[QF_LOGITS] = outputs
        return found

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {QF_PREDS: self._values(batch[Columns.OBS])}

    def compute_advantage_distribution(self, batch: dict[str, Any]) -> dict[str, Any]:
        logits = self.q_net.outputs(batch[Columns.OBS])
        return {ATOMS: self.q_net.support, QF_LOGITS: logits, QF_PROBS: torch.softmax(logits, -1)}

    def make_target_networks(self) -> None:
        self._target_q_net = copy.deepcopy(self.q_net).requires_grad_(False)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.q_net, self._target_q_net)]

    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        assert self._target_q_net is not None, "make_target_networks() comes first"
        if self.noisy:
            self._target_q_net.draw_noise()
        outputs = self._target_q_net.outputs(batch[Columns.OBS])
        values = self._target_q_net.values(outputs)
        found = {QF_PREDS: values if self._mask is None else self._mask.applied(values, batch[Columns.OBS])}
        if self.num_atoms > 1:
            found[QF_PROBS] = torch.softmax(outputs, -1)
        return found
