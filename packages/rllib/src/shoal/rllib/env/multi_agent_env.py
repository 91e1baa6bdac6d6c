"""Environments with several agents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any

import gymnasium as gym

from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.registration import registered_creator, resolve_env

AgentID = Any
MultiAgentDict = dict[AgentID, Any]


class MultiAgentEnv(gym.Env[MultiAgentDict, MultiAgentDict]):
    """An environment whose observations, actions, rewards and flags are dictionaries by agent.

    Subclasses set in `__init__`: `possible_agents` (all that may ever be there), `agents` (those that are there now), `observation_spaces`
    and `action_spaces` (dictionaries by agent).

    `reset` and `step` return observations only of agents that act next. Rewards may come for others, too; they count for these agents' next
    step. `terminateds` and `truncateds` have a key "__all__" for the whole episode.

    Example:
        >>> import gymnasium as gym
        >>> class Echo(MultiAgentEnv):
        ...     def __init__(self, config=None):
        ...         super().__init__()
        ...         self.possible_agents = self.agents = ["a", "b"]
        ...         self.observation_spaces = {agent: gym.spaces.Discrete(2) for agent in self.agents}
        ...         self.action_spaces = {agent: gym.spaces.Discrete(2) for agent in self.agents}
        ...     def reset(self, *, seed=None, options=None):
        ...         return {"a": 0, "b": 1}, {}
        ...     def step(self, action_dict):
        ...         rewards = {agent: float(action) for agent, action in action_dict.items()}
        ...         return {"a": 0, "b": 1}, rewards, {"__all__": True}, {"__all__": False}, {}
        >>> Echo().step({"a": 1, "b": 0})[1]
        {'a': 1.0, 'b': 0.0}
    """

    possible_agents: list[AgentID]
    agents: list[AgentID]
    observation_spaces: dict[AgentID, gym.Space[Any]] | None
    action_spaces: dict[AgentID, gym.Space[Any]] | None
    observation_space: gym.Space[Any] | None  # type: ignore[assignment]
    action_space: gym.Space[Any] | None  # type: ignore[assignment]

    def __init__(self) -> None:
        # Older environments, and some that act in turns, name their agents before they call this.
        self._agent_ids: set[AgentID] = getattr(self, "_agent_ids", set())
        self.agents = getattr(self, "agents", None) or agents_of(self._agent_ids)
        self.possible_agents = getattr(self, "possible_agents", None) or list(self.agents)
        for name in ("observation_space", "action_space", "observation_spaces", "action_spaces"):
            if not hasattr(self, name):
                setattr(self, name, None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        """Starts an episode. Returns observations of the agents that act first, and infos."""
        raise NotImplementedError(f"{type(self).__name__} has no reset()")

    def step(self, action_dict: MultiAgentDict) -> Any:  # a tuple of five dictionaries; gymnasium has other types
        """Takes the actions of the agents that were observed last. Returns observations, rewards, terminateds, truncateds and infos."""
        raise NotImplementedError(f"{type(self).__name__} has no step()")

    def render(self) -> Any:
        """Returns a picture, if the environment has any."""
        return None

    def get_observation_space(self, agent_id: AgentID) -> gym.Space[Any]:
        """Returns the space of an agent's observations. Raises ValueError if there is none."""
        return self._space_of(agent_id, self.observation_spaces, self.observation_space, "observation")

    def get_action_space(self, agent_id: AgentID) -> gym.Space[Any]:
        """Returns the space of an agent's actions. Raises ValueError if there is none."""
        return self._space_of(agent_id, self.action_spaces, self.action_space, "action")

    def _space_of(self, agent_id: AgentID, spaces: Any, space: Any, kind: str) -> gym.Space[Any]:
        if spaces is not None:
            if agent_id in spaces:
                found: gym.Space[Any] = spaces[agent_id]
                return found
            raise ValueError(
                f"{type(self).__name__}.{kind}_spaces has {sorted(map(repr, spaces))} and not {agent_id!r}"
            )
        if isinstance(space, gym.spaces.Dict) and agent_id in space.spaces:
            return space.spaces[agent_id]
        if isinstance(space, gym.Space):
            return space
        raise ValueError(
            f"{type(self).__name__} has no {kind}_spaces; set them in __init__: a dictionary from agents to spaces"
        )

    @property
    def num_agents(self) -> int:
        """How many agents there are now."""
        return len(self.agents)

    @property
    def max_num_agents(self) -> int:
        """How many agents there may ever be."""
        return len(self.possible_agents)

    @property
    def unwrapped(self) -> Any:
        return self

    def get_agent_ids(self) -> set[AgentID]:
        """Returns all agents that may ever be there."""
        return set(self.possible_agents)


def make_multi_agent(env_name_or_creator: str | Callable[[EnvContext], gym.Env[Any, Any]]) -> type[MultiAgentEnv]:
    """Returns a class of environments in which several agents play, each in a copy of its own of a single-agent environment.

    Their configuration may say `num_agents` (1 if not); what else it has goes to the copies. Agents are 0, 1, ...; one whose
    episode is over waits for the others.

    Example:
        >>> TwoPoles = make_multi_agent("CartPole-v1")
        >>> env = TwoPoles({"num_agents": 2})
        >>> sorted(env.reset()[0])
        [0, 1]
    """

    # The class goes to other processes, which do not know the name.
    known = registered_creator(env_name_or_creator) if isinstance(env_name_or_creator, str) else None

    class MultiEnv(MultiAgentEnv):
        metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

        def __init__(self, config: EnvContext | dict[str, Any] | None = None) -> None:
            super().__init__()
            given = EnvContext(config) if not isinstance(config, EnvContext) else copy.deepcopy(config)
            count = int(given.pop("num_agents", 1))
            create = resolve_env(env_name_or_creator) if known is None else known
            self.envs = [create(given) for _ in range(count)]
            self.possible_agents = self.agents = list(range(count))
            self.observation_spaces = {i: env.observation_space for i, env in enumerate(self.envs)}
            self.action_spaces = {i: env.action_space for i, env in enumerate(self.envs)}
            self.render_mode = self.envs[0].render_mode if self.envs else None
            self.terminated: set[int] = set()
            self.truncated: set[int] = set()

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[MultiAgentDict, MultiAgentDict]:
            self.terminated, self.truncated = set(), set()
            observations, infos = {}, {}
            for i, env in enumerate(self.envs):
                own = None if seed is None else seed + i
                observations[i], infos[i] = env.reset(seed=own, options=options)
            return observations, infos

        def step(self, action_dict: MultiAgentDict) -> Any:
            observations: MultiAgentDict = {}
            rewards: MultiAgentDict = {}
            terminateds: MultiAgentDict = {}
            truncateds: MultiAgentDict = {}
            infos: MultiAgentDict = {}
            if not action_dict:
                raise ValueError("step() was given no actions: each agent whose episode goes on has to act")
            for i, action in action_dict.items():
                observations[i], rewards[i], terminateds[i], truncateds[i], infos[i] = self.envs[i].step(action)
                if terminateds[i]:
                    self.terminated.add(i)
                elif truncateds[i]:
                    self.truncated.add(i)
            over = len(self.terminated | self.truncated) == len(self.envs)
            terminateds["__all__"] = over and bool(self.terminated)
            truncateds["__all__"] = over and not self.terminated
            return observations, rewards, terminateds, truncateds, infos

        def render(self) -> Any:
            return self.envs[0].render()

        def close(self) -> None:
            for env in self.envs:
                env.close()

    MultiEnv.__name__ = MultiEnv.__qualname__ = (
        f"MultiAgent{env_name_or_creator}" if isinstance(env_name_or_creator, str) else "MultiEnv"
    )
    return MultiEnv


def agents_of(given: Collection[AgentID]) -> list[AgentID]:
    """Returns agents in an order that does not depend on hashes."""
    return sorted(given, key=lambda agent: (str(type(agent)), str(agent)))
