"""The module that DQN makes where none is given."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_q_rl_module import DefaultQRLModule as DefaultDQNTorchRLModule

__all__ = ["DefaultDQNTorchRLModule"]
