"""Repeat what was seen."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class RepeatAfterMeEnv(gym.Env[Any, Any]):
    """Say what was seen some steps ago: +1 if right, -1 if wrong. 200 steps.

    Args:
        config: `repeat_delay`, 1 if not given: how many steps ago.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.observation_space = gym.spaces.Discrete(2)
        self.action_space = gym.spaces.Discrete(2)
        self.delay = int((config or {}).get("repeat_delay", 1))
        self.history: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.history = [0] * self.delay
        return self._next(), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reward = 1.0 if action == self.history[-1 - self.delay] else -1.0
        over = len(self.history) > 200
        return self._next(), reward, over, False, {}

    def _next(self) -> int:
        self.history.append(int(self.np_random.integers(2)))
        return self.history[-1]
