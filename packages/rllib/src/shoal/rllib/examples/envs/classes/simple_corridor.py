"""A corridor with a goal at its end."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class SimpleCorridor(gym.Env[Any, Any]):
    """Walk right until the end. Each step costs 0.1; arriving brings between 0.5 and 1.5.

    Args:
        config: `corridor_length`, 10 if not given.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.end_pos = int((config or {}).get("corridor_length", 10))
        self.cur_pos = 0
        self.action_space = gym.spaces.Discrete(2)
        self.observation_space = gym.spaces.Box(0.0, float(self.end_pos), (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cur_pos = 0
        return self._observation(), {"env_state": "reset"}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action not in (0, 1):
            raise ValueError(f"action={action!r}: 0 is left, and 1 is right")
        if action == 0:
            self.cur_pos = max(self.cur_pos - 1, 0)
        else:
            self.cur_pos += 1
        terminated = self.cur_pos >= self.end_pos
        reward = float(self.np_random.uniform(0.5, 1.5)) if terminated else -0.1
        return self._observation(), reward, terminated, self.cur_pos > self.end_pos + 100, {}

    def _observation(self) -> Any:
        return np.array([self.cur_pos], np.float32)
