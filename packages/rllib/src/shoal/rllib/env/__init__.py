"""Environments, episodes, and what samples them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.rllib.env.env_context import EnvContext as EnvContext
    from shoal.rllib.env.env_runner import EnvRunner as EnvRunner
    from shoal.rllib.env.multi_agent_env import MultiAgentEnv as MultiAgentEnv

_PLACES = {
    "EnvContext": "shoal.rllib.env.env_context",
    "EnvRunner": "shoal.rllib.env.env_runner",
    "MultiAgentEnv": "shoal.rllib.env.multi_agent_env",
    "PettingZooEnv": "shoal.rllib.env.wrappers.pettingzoo_env",
    "ParallelPettingZooEnv": "shoal.rllib.env.wrappers.pettingzoo_env",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
