"""A pole on a cart whose speeds are not seen."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv


class StatelessCartPole(CartPoleEnv):  # type: ignore[misc,unused-ignore]
    """CartPole without velocities in its observations: whoever acts has to remember. Episodes end after 500 steps.

    Args:
        config: nothing of it is used.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        high = np.array([self.x_threshold * 2, self.theta_threshold_radians * 2], dtype=np.float32)
        self.observation_space = gym.spaces.Box(-high, high, dtype=np.float32)
        self.count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.count = 0
        observation, info = super().reset(seed=seed, options=options)
        return self._partly(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        self.count += 1
        return self._partly(observation), float(reward), terminated, truncated or self.count >= 500, info

    @staticmethod
    def _partly(observation: Any) -> Any:
        return observation[[0, 2]]
