"""A pole on a cart that breaks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

from shoal.rllib.env.multi_agent_env import MultiAgentEnv, make_multi_agent


class EnvCrashed(RuntimeError):
    """Raised by CartPoleCrashing."""


class CartPoleCrashing(CartPoleEnv):  # type: ignore[misc,unused-ignore]
    """CartPole that raises or stalls now and then: to try out with what happens then.

    Args:
        config: `p_crash` and `p_crash_reset` (0.005 and 0.0): how likely a step or a reset raises; `crash_after_n_steps`: it raises then
            for sure; `p_stall` and `p_stall_reset` (0.0): how likely it stalls; `stall_time_sec`: for how long (a number, or two between
            which it is drawn); `stall_after_n_steps`; `crash_on_worker_indices` and `stall_on_worker_indices`: only there (None:
            everywhere); `init_time_s` (0.0): how long it takes to be made.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        given = config or {}
        self.config = given
        self._rng = np.random.default_rng(given.get("seed"))
        index = getattr(given, "worker_index", 0)
        self._may_crash = _is_among(index, given.get("crash_on_worker_indices"))
        self._may_stall = _is_among(index, given.get("stall_on_worker_indices"))
        self.timesteps = 0
        time.sleep(float(given.get("init_time_s", 0.0)))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.timesteps = 0
        self._perhaps_crash("reset", self.config.get("p_crash_reset", 0.0))
        self._perhaps_stall(self.config.get("p_stall_reset", 0.0))
        observation, info = super().reset(seed=seed, options=options)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.timesteps += 1
        self._perhaps_crash("step", self.config.get("p_crash", 0.005))
        self._perhaps_stall(self.config.get("p_stall", 0.0))
        observation, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        return observation, float(reward), terminated, truncated, info

    def _perhaps_crash(self, where: str, likely: float) -> None:
        if not self._may_crash:
            return
        if self._rng.random() < likely or self.timesteps == self.config.get("crash_after_n_steps", -1):
            raise EnvCrashed(f"the environment crashed in {where}() after {self.timesteps} steps, as it was told to")

    def _perhaps_stall(self, likely: float) -> None:
        if not self._may_stall:
            return
        if self._rng.random() < likely or self.timesteps == self.config.get("stall_after_n_steps", -1):
            seconds = self.config.get("stall_time_sec", 1.0)
            time.sleep(float(self._rng.uniform(*seconds) if isinstance(seconds, tuple | list) else seconds))


def _is_among(index: int, given: Any) -> bool:
    return given is None or index in given


MultiAgentCartPoleCrashing: type[MultiAgentEnv] = make_multi_agent(lambda config: CartPoleCrashing(config))
