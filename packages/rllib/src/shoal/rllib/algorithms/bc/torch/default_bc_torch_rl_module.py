"""The module that BC makes where none is given."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import (
    DefaultActorCriticRLModule as DefaultBCTorchRLModule,
)

__all__ = ["DefaultBCTorchRLModule"]
