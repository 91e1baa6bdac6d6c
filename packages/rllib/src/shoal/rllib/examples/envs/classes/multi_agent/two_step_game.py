"""A game that is won together."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from shoal.rllib.env.multi_agent_env import MultiAgentDict, MultiAgentEnv


class TwoStepGame(MultiAgentEnv):
    """Two agents share all rewards. The first agent's first action chooses a game: 0 always brings 7; 1 brings 8 if both then choose 1,
    0 if both choose 0, else 1. Rashid et al., QMIX (2018).
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.possible_agents = self.agents = ["agent_1", "agent_2"]
        self.observation_spaces = {agent: gym.spaces.Discrete(3) for agent in self.agents}
        self.action_spaces = {agent: gym.spaces.Discrete(2) for agent in self.agents}
        self.state = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        self.state = 0
        return self._observations(), {}

    def step(self, action_dict: MultiAgentDict) -> Any:
        if self.state == 0:
            self.state = 1 + int(action_dict["agent_1"])
            shared, over = 0.0, False
        else:
            chosen = int(action_dict["agent_1"]) + int(action_dict["agent_2"])
            shared = 7.0 if self.state == 1 else (0.0, 1.0, 8.0)[chosen]
            over = True
        rewards = dict.fromkeys(self.agents, shared / 2)
        return self._observations(), rewards, {"__all__": over}, {"__all__": False}, {}

    def _observations(self) -> MultiAgentDict:
        return dict.fromkeys(self.agents, self.state)
