"""The default module of APPO: PPO's, and a policy that follows its own."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.apis.target_network_api import TARGET_NETWORK_ACTION_DIST_INPUTS, TargetNetworkAPI
from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule


class DefaultAPPORLModule(DefaultActorCriticRLModule, TargetNetworkAPI):
    """An actor and a critic, and a target of the actor. `model_config`: `DefaultModelConfig`'s."""

    def setup(self) -> None:
        super().setup()
        self._target_encoder: nn.Module | None = None
        self._target_pi: nn.Module | None = None
        self._target_log_std: nn.Parameter | None = None

    def get_non_inference_attributes(self) -> list[str]:
        return [*super().get_non_inference_attributes(), "_target_encoder", "_target_pi", "_target_log_std"]

    def make_target_networks(self) -> None:
        self._target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self._target_pi = copy.deepcopy(self.pi).requires_grad_(False)
        if self.log_std is not None:
            self._target_log_std = nn.Parameter(self.log_std.detach().clone(), requires_grad=False)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        pairs: list[tuple[Any, Any]] = [(self.encoder, self._target_encoder), (self.pi, self._target_pi)]
        if self.log_std is not None:
            pairs.append((nn.ParameterList([self.log_std]), nn.ParameterList([self._target_log_std])))
        return pairs

    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        assert self._target_encoder is not None and self._target_pi is not None, "make_target_networks() comes first"
        features, _ = self._target_encoder(batch[Columns.OBS], batch.get(Columns.STATE_IN))
        outputs = self._outputs(self._target_pi, self._target_log_std, features, batch[Columns.OBS])
        return {TARGET_NETWORK_ACTION_DIST_INPUTS: outputs}
