"""Policies (and what else an algorithm learns) as modules. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig as DefaultModelConfig

if TYPE_CHECKING:
    from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule as MultiRLModule
    from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec as MultiRLModuleSpec
    from shoal.rllib.core.rl_module.rl_module import RLModule as RLModule
    from shoal.rllib.core.rl_module.rl_module import RLModuleSpec as RLModuleSpec

_HOMES = {
    "MultiRLModule": "shoal.rllib.core.rl_module.multi_rl_module",
    "MultiRLModuleSpec": "shoal.rllib.core.rl_module.multi_rl_module",
    "RLModule": "shoal.rllib.core.rl_module.rl_module",
    "RLModuleSpec": "shoal.rllib.core.rl_module.rl_module",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


__all__ = ["DefaultModelConfig", "MultiRLModule", "MultiRLModuleSpec", "RLModule", "RLModuleSpec"]
