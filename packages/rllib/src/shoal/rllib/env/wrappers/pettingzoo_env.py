"""PettingZoo's environments as multi-agent environments."""

from __future__ import annotations

from typing import Any

from shoal.rllib.env.multi_agent_env import MultiAgentDict, MultiAgentEnv
from shoal.rllib.utils.error import MultiAgentEnvError


class PettingZooEnv(MultiAgentEnv):
    """An AEC environment of PettingZoo: agents act one after the other.

    Args:
        env: an `AECEnv`, wrapped as PettingZoo says.

    Example:
        >>> from pettingzoo.classic.tictactoe import tictactoe
        >>> env = PettingZooEnv(tictactoe.env())
        >>> observations, infos = env.reset(seed=1)
        >>> list(observations)
        ['player_1']
    """

    def __init__(self, env: Any) -> None:
        super().__init__()
        if not hasattr(env, "agent_iter"):
            raise MultiAgentEnvError(
                f"{env!r} is no AEC environment, whose agents act in turns; use ParallelPettingZooEnv"
            )
        self.env = env
        env.reset()
        self.possible_agents = list(env.possible_agents)
        self.agents = list(self.possible_agents)
        self.observation_spaces = {agent: env.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: env.action_space(agent) for agent in self.possible_agents}
        self.metadata = getattr(env, "metadata", {})
        self.render_mode = getattr(env, "render_mode", None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        agent = self.env.agent_selection
        return {agent: self.env.observe(agent)}, {agent: self.env.infos.get(agent, {})}

    def step(self, action_dict: MultiAgentDict) -> Any:
        env = self.env
        acting = env.agent_selection
        if acting not in action_dict:
            raise ValueError(f"it is {acting!r}'s turn, and actions came of {list(action_dict)}")
        env.step(action_dict[acting])
        rewards: MultiAgentDict = {agent: float(reward) for agent, reward in env.rewards.items()}
        terminateds: MultiAgentDict = {}
        truncateds: MultiAgentDict = {}
        infos: MultiAgentDict = {}
        # PettingZoo steps agents that have ended once more, without an action: nobody is asked for it.
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            ended = env.agent_selection
            terminateds[ended], truncateds[ended] = env.terminations[ended], env.truncations[ended]
            infos[ended] = env.infos.get(ended, {})
            env.step(None)
        self.agents = list(env.agents)
        over = not env.agents
        terminateds["__all__"] = over and any(terminateds.values())
        truncateds["__all__"] = over and not terminateds["__all__"]
        if over:
            return {}, rewards, terminateds, truncateds, infos
        agent = env.agent_selection
        infos[agent] = env.infos.get(agent, {})
        return {agent: env.observe(agent)}, rewards, terminateds, truncateds, infos

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    @property
    def get_sub_environments(self) -> Any:
        """PettingZoo's environment."""
        return self.env.unwrapped


class ParallelPettingZooEnv(MultiAgentEnv):
    """A parallel environment of PettingZoo: agents act at once.

    Args:
        env: a `ParallelEnv`.
    """

    def __init__(self, env: Any) -> None:
        super().__init__()
        if hasattr(env, "agent_iter"):
            raise MultiAgentEnvError(f"the agents of {env!r} act in turns; use PettingZooEnv")
        self.par_env = env
        env.reset()
        self.possible_agents = list(env.possible_agents)
        self.agents = list(self.possible_agents)
        self.observation_spaces = {agent: env.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: env.action_space(agent) for agent in self.possible_agents}
        self.metadata = getattr(env, "metadata", {})
        self.render_mode = getattr(env, "render_mode", None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        observations, infos = self.par_env.reset(seed=seed, options=options)
        self.agents = list(self.par_env.agents)
        return observations, infos or {}

    def step(self, action_dict: MultiAgentDict) -> Any:
        observations, rewards, terminateds, truncateds, infos = self.par_env.step(action_dict)
        self.agents = list(self.par_env.agents)
        over = not self.agents
        terminateds, truncateds = dict(terminateds), dict(truncateds)
        ended = over and any(terminateds.values())
        truncateds["__all__"] = over and not ended
        terminateds["__all__"] = ended
        return observations, rewards, terminateds, truncateds, infos

    def render(self) -> Any:
        return self.par_env.render()

    def close(self) -> None:
        self.par_env.close()

    @property
    def get_sub_environments(self) -> Any:
        """PettingZoo's environment."""
        return self.par_env.unwrapped
