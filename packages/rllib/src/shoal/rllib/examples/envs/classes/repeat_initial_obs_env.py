"""Repeat what was seen first."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class RepeatInitialObsEnv(gym.Env[Any, Any]):
    """Say at each step what was seen first: +1 if right, -1 if wrong.

    Args:
        config: `episode_len`, 100 if not given.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.observation_space = gym.spaces.Discrete(2)
        self.action_space = gym.spaces.Discrete(2)
        self.episode_len = int((config or {}).get("episode_len", 100))
        self.token = 0
        self.num_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.token = int(self.np_random.integers(2))
        self.num_steps = 0
        return self.token, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.num_steps += 1
        reward = 1.0 if action == self.token else -1.0
        return 0, reward, self.num_steps >= self.episode_len, False, {}
