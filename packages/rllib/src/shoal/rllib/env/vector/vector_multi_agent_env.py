"""Copies of a multi-agent environment, stepped one after another."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from shoal.rllib.env.multi_agent_env import MultiAgentEnv


class VectorMultiAgentEnv:
    """Several copies of a multi-agent environment: `env` in callbacks of a MultiAgentEnvRunner.

    Args:
        envs: the copies, with the wrappers that each has.
    """

    def __init__(self, envs: list[MultiAgentEnv]) -> None:
        self.envs = envs
        self.num_envs = len(envs)
        first = envs[0]
        agents = first.possible_agents
        self.single_observation_space = gym.spaces.Dict({agent: first.get_observation_space(agent) for agent in agents})
        self.single_action_space = gym.spaces.Dict({agent: first.get_action_space(agent) for agent in agents})
        self.observation_space = self.single_observation_space
        self.action_space = self.single_action_space

    @property
    def unwrapped(self) -> VectorMultiAgentEnv:
        """Itself, as of a vector of Gymnasium's: `env.unwrapped.envs[0]` is the first copy."""
        return self

    def get_attr(self, name: str) -> list[Any]:
        """Returns an attribute of each."""
        return [getattr(env, name) for env in self.envs]

    def close(self) -> None:
        """Closes all."""
        for env in self.envs:
            env.close()
