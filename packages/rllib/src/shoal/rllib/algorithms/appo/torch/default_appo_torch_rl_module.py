"""The module that APPO makes where none is given."""

from __future__ import annotations

from shoal.rllib.core.rl_module.torch.default_appo_rl_module import DefaultAPPORLModule as DefaultAPPOTorchRLModule

__all__ = ["DefaultAPPOTorchRLModule"]
