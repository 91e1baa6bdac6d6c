"""The module that PPO makes where none is given, by its older name."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import (
    DefaultActorCriticRLModule as PPOTorchRLModule,
)

__all__ = ["PPOTorchRLModule"]
