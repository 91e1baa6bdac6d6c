"""Algorithms, a package each, and what they have in common. Loads no torch before a name is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shoal.rllib.algorithms.registry import MODULES

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm import Algorithm as Algorithm
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig as AlgorithmConfig
    from shoal.rllib.algorithms.appo import APPO as APPO
    from shoal.rllib.algorithms.appo import APPOConfig as APPOConfig
    from shoal.rllib.algorithms.bc import BC as BC
    from shoal.rllib.algorithms.bc import BCConfig as BCConfig
    from shoal.rllib.algorithms.cql import CQL as CQL
    from shoal.rllib.algorithms.cql import CQLConfig as CQLConfig
    from shoal.rllib.algorithms.dqn import DQN as DQN
    from shoal.rllib.algorithms.dqn import DQNConfig as DQNConfig
    from shoal.rllib.algorithms.impala import IMPALA as IMPALA
    from shoal.rllib.algorithms.impala import IMPALAConfig as IMPALAConfig
    from shoal.rllib.algorithms.iql import IQL as IQL
    from shoal.rllib.algorithms.iql import IQLConfig as IQLConfig
    from shoal.rllib.algorithms.marwil import MARWIL as MARWIL
    from shoal.rllib.algorithms.marwil import MARWILConfig as MARWILConfig
    from shoal.rllib.algorithms.ppo import PPO as PPO
    from shoal.rllib.algorithms.ppo import PPOConfig as PPOConfig
    from shoal.rllib.algorithms.sac import SAC as SAC
    from shoal.rllib.algorithms.sac import SACConfig as SACConfig

_HOMES = {
    "Algorithm": "algorithm",
    "AlgorithmConfig": "algorithm_config",
    **MODULES,
    **{f"{name}Config": module for name, module in MODULES.items()},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
