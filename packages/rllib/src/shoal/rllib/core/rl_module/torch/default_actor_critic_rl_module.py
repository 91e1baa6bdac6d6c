"""The default module of algorithms with a policy and a value function: PPO, APPO, IMPALA, MARWIL, BC."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.models.torch.action_mask import ActionMask
from shoal.rllib.core.models.torch.encoder import Encoder, _initializers
from shoal.rllib.core.models.torch.layers import mlp
from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from shoal.rllib.utils.error import UnsupportedSpaceException


class DefaultActorCriticRLModule(TorchRLModule, InferenceOnlyAPI, ValueFunctionAPI):
    """An encoder for the policy, one for the value function (or the same), and a head for each. `model_config`: `DefaultModelConfig`'s."""

    def setup(self) -> None:
        config = DefaultModelConfig.of(self.model_config)
        if self.observation_space is None or self.action_space is None:
            raise UnsupportedSpaceException("observation_space and action_space are needed to build the default module")
        try:
            self._distribution_class()
        except TypeError as error:
            raise UnsupportedSpaceException(str(error)) from error
        outputs = self._distribution_class().required_input_dim(self.action_space)
        self._mask = ActionMask.of(self.observation_space, config.action_mask_key)
        seen = self.observation_space if self._mask is None else self._mask.without(self.observation_space)
        self.encoder = Encoder(seen, config)
        self._shared = config.vf_share_layers or config.use_lstm
        self.critic_encoder: Encoder | None = None if self._shared else Encoder(seen, config)
        head = {
            "layernorm": config.head_fcnet_use_layernorm,
            **_initializers(config, "head_fcnet"),
        }
        size, hiddens, kind = self.encoder.output_size, config.head_fcnet_hiddens, config.head_fcnet_activation
        self._free_log_std = config.free_log_std and self._has_log_std(outputs)
        self.pi = mlp(size, hiddens, kind, output_size=outputs // 2 if self._free_log_std else outputs, **head)
        self.log_std = nn.Parameter(torch.zeros(outputs // 2)) if self._free_log_std else None
        self._log_std_clip = config.log_std_clip_param if self._has_log_std(outputs) else None
        self.vf = mlp(size, hiddens, kind, output_size=1, **head)
        self._cell_size = config.lstm_cell_size if config.use_lstm else None

    def _has_log_std(self, outputs: int) -> bool:
        import gymnasium as gym

        return isinstance(self.action_space, gym.spaces.Box) and outputs % 2 == 0

    def get_non_inference_attributes(self) -> list[str]:
        return ["vf", "critic_encoder"]

    def get_initial_state(self) -> Any:
        if self._cell_size is None:
            return {}
        return {"h": torch.zeros(self._cell_size), "c": torch.zeros(self._cell_size)}

    def _outputs(
        self, pi: nn.Module, log_std: nn.Parameter | None, features: torch.Tensor, observations: Any
    ) -> torch.Tensor:
        """What distributions of actions are made of, by a head and (where the deviation is free) its logarithm."""
        outputs: torch.Tensor = pi(features)
        if self._mask is not None:
            return self._mask.applied(outputs, observations)
        if log_std is not None:
            outputs = torch.cat([outputs, log_std.expand_as(outputs)], -1)
        if self._log_std_clip is not None:
            mean, deviation = outputs.chunk(2, -1)
            outputs = torch.cat([mean, deviation.clamp(-self._log_std_clip, self._log_std_clip)], -1)
        return outputs

    def _policy(self, batch: dict[str, Any], features: torch.Tensor, state: Any) -> dict[str, Any]:
        outputs = self._outputs(self.pi, self.log_std, features, batch[Columns.OBS])
        found: dict[str, Any] = {Columns.ACTION_DIST_INPUTS: outputs}
        if state is not None:
            found[Columns.STATE_OUT] = state
        return found

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features, state = self.encoder(batch[Columns.OBS], batch.get(Columns.STATE_IN))
        return self._policy(batch, features, state)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features, state = self.encoder(batch[Columns.OBS], batch.get(Columns.STATE_IN))
        found = self._policy(batch, features, state)
        if self.critic_encoder is None:
            found[Columns.EMBEDDINGS] = features
        return found

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        if embeddings is None or self.critic_encoder is not None:
            encoder = self.encoder if self.critic_encoder is None else self.critic_encoder
            embeddings, _ = encoder(batch[Columns.OBS], batch.get(Columns.STATE_IN))
        values: torch.Tensor = self.vf(embeddings)
        return values.squeeze(-1)
