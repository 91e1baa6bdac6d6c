"""Modules of PyTorch."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule as TorchRLModule

__all__ = ["TorchRLModule"]
