"""EnvPool's environments: stepped in C++ threads, all at once."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.utils.error import EnvError


class EnvPoolVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """A pool of EnvPool as a vector environment of gymnasium. It resets environments in the step after an episode's last one.

    `config.env_runners(gym_env_vectorize_mode="envpool")` makes one; `env_config` has further arguments of `envpool.make_gymnasium`.

    Args:
        task_id: an id of EnvPool, for instance "CartPole-v1" or "Pong-v5".
        num_envs: how many environments.
        seed: of the first reset.
        kwargs: for `envpool.make_gymnasium`.

    Raises:
        EnvError: (a ValueError) EnvPool is not there, or knows no such task.
    """

    def __init__(self, task_id: str, num_envs: int, *, seed: int = 0, **kwargs: Any) -> None:
        try:
            import envpool
        except ImportError:
            raise EnvError('gym_env_vectorize_mode="envpool" needs EnvPool: pip install envpool') from None
        known = envpool.list_all_envs()
        if task_id not in known:
            from shoal.rllib.utils.error import close_matches

            raise EnvError(f"env={task_id!r}: EnvPool has no such task.{close_matches(task_id, known)}")
        self._make: Any = envpool.make_gymnasium
        self._task_id, self._kwargs = task_id, kwargs
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
        self._pool: Any = None
        pool = self._open(seed)
        self.single_observation_space = pool.observation_space
        self.single_action_space = pool.action_space
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._action_dtype = self.single_action_space.dtype

    def _open(self, seed: int) -> Any:
        if self._pool is not None:
            self._pool.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its spaces' bounds, which are doubles
            self._pool = self._make(self._task_id, num_envs=self.num_envs, seed=seed, **self._kwargs)
            _ = self._pool.observation_space
        return self._pool

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Resets all. A pool takes its seed when it is made: it is made anew where one is given."""
        if seed is not None:
            self._open(int(seed[0] if isinstance(seed, list | tuple) else seed) % (2**31 - 1))
        observations, infos = self._pool.reset()
        return observations, self._told(infos)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        given = np.asarray(actions, dtype=self._action_dtype)
        observations, rewards, terminateds, truncateds, infos = self._pool.step(given)
        return observations, rewards, terminateds, truncateds, self._told(infos)

    def _told(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Returns what infos tell of single environments."""
        return {
            key: value
            for key, value in infos.items()
            if key not in ("env_id", "players") and isinstance(value, np.ndarray) and len(value) == self.num_envs
        }

    def close_extras(self, **kwargs: Any) -> None:
        if self._pool is not None:
            self._pool.close()
