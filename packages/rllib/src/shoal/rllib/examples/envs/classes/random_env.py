"""Answers that are drawn from spaces."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.env.multi_agent_env import MultiAgentEnv, make_multi_agent


class RandomEnv(gym.Env[Any, Any]):
    """Observations and rewards are drawn from spaces; actions do nothing. To try out spaces with.

    Args:
        config: `observation_space` (two numbers between -1 and 1), `action_space` (two choices), `reward_space` (from -1 to 1),
            `p_terminated` (0.1), `max_episode_len` (none), `static_samples` (False): whether all observations are the same.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        given = config or {}
        self.action_space = given.get("action_space", gym.spaces.Discrete(2))
        self.observation_space = given.get("observation_space", gym.spaces.Box(-1.0, 1.0, (2,), np.float32))
        self.reward_space = given.get("reward_space", gym.spaces.Box(-1.0, 1.0, (), np.float32))
        self.p_terminated = float(given.get("p_terminated", 0.1))
        self.max_episode_len = given.get("max_episode_len")
        self._static = self.observation_space.sample() if given.get("static_samples") else None
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
            self.reward_space.seed(seed)
        self.steps = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise ValueError(f"action={action!r} is not in {self.action_space}")
        self.steps += 1
        terminated = bool(self.np_random.random() < self.p_terminated)
        truncated = self.max_episode_len is not None and self.steps >= self.max_episode_len
        return self._observation(), float(self.reward_space.sample()), terminated, truncated, {}

    def _observation(self) -> Any:
        return self.observation_space.sample() if self._static is None else self._static


class RandomLargeObsSpaceEnv(RandomEnv):
    """A RandomEnv with 5,000 numbers in an observation."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__({"observation_space": gym.spaces.Box(-1.0, 1.0, (5000,), np.float32), **(config or {})})


RandomMultiAgentEnv: type[MultiAgentEnv] = make_multi_agent(lambda config: RandomEnv(config))
