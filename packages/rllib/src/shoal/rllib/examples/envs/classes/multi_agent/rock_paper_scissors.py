"""Rock, paper, scissors."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from shoal.rllib.env.multi_agent_env import MultiAgentDict, MultiAgentEnv

ROCK, PAPER, SCISSORS, LIZARD, SPOCK = range(5)

_BEATS = {
    ROCK: (SCISSORS, LIZARD),
    PAPER: (ROCK, SPOCK),
    SCISSORS: (PAPER, LIZARD),
    LIZARD: (SPOCK, PAPER),
    SPOCK: (SCISSORS, ROCK),
}


class RockPaperScissors(MultiAgentEnv):
    """Two players choose at once and see what the other chose last. The winner of a round gets +1, the loser -1. Ten rounds.

    Args:
        config: `sheldon_cooper_mode`: with lizard and Spock.
    """

    ROCK, PAPER, SCISSORS, LIZARD, SPOCK = ROCK, PAPER, SCISSORS, LIZARD, SPOCK
    ROUNDS = 10

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.choices = 5 if (config or {}).get("sheldon_cooper_mode") else 3
        self.possible_agents = self.agents = ["player1", "player2"]
        # One value more: nothing was chosen yet.
        self.observation_spaces = {agent: gym.spaces.Discrete(self.choices + 1) for agent in self.agents}
        self.action_spaces = {agent: gym.spaces.Discrete(self.choices) for agent in self.agents}
        self.rounds = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        self.rounds = 0
        return dict.fromkeys(self.agents, self.choices), {}

    def step(self, action_dict: MultiAgentDict) -> Any:
        self.rounds += 1
        first, second = int(action_dict["player1"]), int(action_dict["player2"])
        won = 1.0 if second in _BEATS[first] else -1.0 if first in _BEATS[second] else 0.0
        observations = {"player1": second, "player2": first}
        over = self.rounds >= self.ROUNDS
        return observations, {"player1": won, "player2": -won}, {"__all__": over}, {"__all__": False}, {}
