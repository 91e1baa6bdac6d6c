"""The module that SAC makes where none is given."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_sac_rl_module import DefaultSACRLModule as DefaultSACTorchRLModule

__all__ = ["DefaultSACTorchRLModule"]
