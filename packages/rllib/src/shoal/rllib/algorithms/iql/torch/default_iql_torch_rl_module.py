"""The module that IQL makes where none is given."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_iql_rl_module import DefaultIQLRLModule as DefaultIQLTorchRLModule

__all__ = ["DefaultIQLTorchRLModule"]
