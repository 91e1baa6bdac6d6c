"""Environments with several agents."""

from __future__ import annotations

from typing import Any

from shoal.rllib.env.multi_agent_env import MultiAgentEnv, make_multi_agent
from shoal.rllib.examples.envs.classes.cartpole_crashing import MultiAgentCartPoleCrashing as MultiAgentCartPoleCrashing
from shoal.rllib.examples.envs.classes.random_env import RandomMultiAgentEnv
from shoal.rllib.examples.envs.classes.stateless_cartpole import StatelessCartPole

MultiAgentCartPole: type[MultiAgentEnv] = make_multi_agent("CartPole-v1")
MultiAgentMountainCar: type[MultiAgentEnv] = make_multi_agent("MountainCarContinuous-v0")
MultiAgentPendulum: type[MultiAgentEnv] = make_multi_agent("Pendulum-v1")
MultiAgentStatelessCartPole: type[MultiAgentEnv] = make_multi_agent(lambda config: StatelessCartPole(config))
MultiAgentRandomEnv = RandomMultiAgentEnv


def __getattr__(name: str) -> Any:
    from importlib import import_module

    places = {"RockPaperScissors": "rock_paper_scissors", "TwoStepGame": "two_step_game"}
    if name not in places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{places[name]}"), name)
