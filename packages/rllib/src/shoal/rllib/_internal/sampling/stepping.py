"""Stepping several environments, and telling which of them failed.

Environments are stepped with gymnasium's next-step convention: the step after an episode's last one resets the
environment, whatever the action.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import is_nested, map_leaves, unstack
from shoal.rllib.env.env_errors import StepFailedRecreateEnvError
from shoal.rllib.utils.error import EnvError

logger = logging.getLogger(__name__)

Infos = dict[Any, Any]

_NOT_THERE = object()
"""An answer that has not come."""


class Steps:
    """What one step of all environments brought. Lists have an item for each environment."""

    __slots__ = ("infos", "observations", "rewards", "terminateds", "truncateds")

    def __init__(
        self,
        observations: list[Any],
        rewards: list[Any],
        terminateds: list[bool],
        truncateds: list[bool],
        infos: list[Infos],
    ) -> None:
        self.observations = observations
        self.rewards = rewards
        self.terminateds = terminateds
        self.truncateds = truncateds
        self.infos = infos


class Stepper(Protocol):
    """Several environments in step."""

    @property
    def failed(self) -> list[int]:
        """Which environments were made anew during the last step: their rows are those of a reset."""

    @property
    def current(self) -> int | None:
        """Which environment is being stepped; None for all at once."""

    def reset(self, seeds: Sequence[int | None]) -> tuple[list[Any], list[Infos]]:
        """Resets all of them, and returns their observations and infos."""

    def step(self, actions: Any, resetting: list[bool]) -> Steps:
        """Steps those that are not `resetting` and resets those that are."""

    def get_state(self) -> bytes | None:
        """Returns the environments as bytes, or None if their state cannot be had."""

    def set_state(self, state: bytes) -> None: ...


class SyncStepper:
    """Environments of this process, one after the other."""

    def __init__(
        self,
        envs: gym.vector.SyncVectorEnv,
        name: Callable[[int], str],
        recreate: Callable[[int], gym.Env[Any, Any]] | None,
        restart_failed: bool,
    ) -> None:
        self._vector_env = envs
        self._envs = envs.envs
        self._name = name
        self._recreate = recreate
        self._restart_failed = restart_failed
        self._nested_actions = is_nested(_example(envs.single_action_space))
        self.failed: list[int] = []
        self.current: int | None = None

    def reset(self, seeds: Sequence[int | None]) -> tuple[list[Any], list[Infos]]:
        observations: list[Any] = []
        infos: list[Infos] = []
        for n, seed in enumerate(seeds):
            observation, info = self._reset(n, seed)
            observations.append(observation)
            infos.append(info)
        return observations, infos

    def step(self, actions: Any, resetting: list[bool]) -> Steps:
        if self.failed:
            self.failed = []
        observations: list[Any] = []
        rewards: list[Any] = []
        terminateds: list[bool] = []
        truncateds: list[bool] = []
        infos: list[Infos] = []
        reward: Any
        each = unstack(actions) if self._nested_actions else actions
        for n, env in enumerate(self._envs):
            self.current = n
            if resetting[n]:
                observation, info = self._reset(n, None)
                reward, terminated, truncated = 0.0, False, False
            else:
                answer: Any = _NOT_THERE
                try:
                    answer = env.step(each[n])
                    observation, reward, terminated, truncated, info = answer
                except Exception as error:
                    if answer is not _NOT_THERE:
                        raise EnvError(
                            f"{self._name(n)}: step({each[n]!r}) returned {answer!r}; return five values: observation, reward, terminated, "
                            "truncated and info"
                        ) from None
                    if not self._may_recreate(error):
                        raise EnvError(_failure(self._name(n), f"step({each[n]!r})", error)) from error
                    observation, info = self._replace(n, error)
                    reward, terminated, truncated = 0.0, False, False
            observations.append(observation)
            rewards.append(reward)
            terminateds.append(terminated)
            truncateds.append(truncated)
            infos.append(info)
        self.current = None
        return Steps(observations, rewards, terminateds, truncateds, infos)

    def get_state(self) -> bytes | None:
        return envs_as_bytes(self._envs, self._name(0))

    def set_state(self, state: bytes) -> None:
        import cloudpickle

        envs = cloudpickle.loads(state)
        for old in self._envs:
            old.close()
        self._envs[:] = envs

    def _reset(self, n: int, seed: int | None) -> tuple[Any, Infos]:
        self.current = n
        try:
            answer = self._envs[n].reset(seed=seed)
        except Exception as error:
            if not self._may_recreate(error):
                raise EnvError(_failure(self._name(n), "reset()", error)) from error
            return self._replace(n, error)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise EnvError(
                f"{self._name(n)}: reset() returned {answer!r}; return a pair of the observation and an info dictionary"
            )
        return answer

    def _may_recreate(self, error: Exception) -> bool:
        return self._recreate is not None and (self._restart_failed or isinstance(error, StepFailedRecreateEnvError))

    def _replace(self, n: int, error: Exception) -> tuple[Any, Infos]:
        """Makes environment n anew and resets it; what fails again then is an error."""
        assert self._recreate is not None
        if not isinstance(error, StepFailedRecreateEnvError):
            logger.warning("%s raised %r; it is made anew and its episode cut off", self._name(n), error)
        try:
            self._envs[n].close()
        except Exception as close_error:  # it is broken already
            logger.info("%s could not be closed: %r", self._name(n), close_error)
        self.failed.append(n)
        try:
            self._envs[n] = self._recreate(n)
            observation, info = self._envs[n].reset()
        except Exception as again:
            raise EnvError(_failure(self._name(n), "reset() after it was made anew", again)) from again
        return observation, info


class VectorStepper:
    """A vector environment that steps all of its environments itself: in processes (gymnasium's "async" mode), or in one computation."""

    def __init__(self, env: gym.vector.VectorEnv, name: Callable[[int], str]) -> None:
        self._env = env
        self._name = name
        self._n = env.num_envs
        self.failed: list[int] = []
        self.current: int | None = None

    def reset(self, seeds: Sequence[int | None]) -> tuple[list[Any], list[Infos]]:
        given = [int(seed) for seed in seeds if seed is not None]
        seed: Any = None
        if len(given) == self._n:
            # Environments that are one computation take one seed.
            seed = given if isinstance(self._env, gym.vector.AsyncVectorEnv) else given[0]
        try:
            observations, infos = self._env.reset(seed=seed)
        except Exception as error:
            raise EnvError(_failure(self._name(0), "reset()", error)) from error
        return unstack(_copied(observations)), self._infos(infos)

    def step(self, actions: Any, resetting: list[bool]) -> Steps:
        try:
            observations, rewards, terminateds, truncateds, infos = self._env.step(actions)
        except Exception as error:
            raise EnvError(_failure(self._name(0), "step()", error)) from error
        return Steps(
            unstack(observations), list(rewards), terminateds.tolist(), truncateds.tolist(), self._infos(infos)
        )

    def get_state(self) -> bytes | None:
        return None

    def set_state(self, state: bytes) -> None:
        raise EnvError(f"{self._name(0)}: a vector environment that steps itself has no state to restore")

    def _infos(self, infos: Infos) -> list[Infos]:
        each: list[Infos] = [{} for _ in range(self._n)]
        for key, values in infos.items():
            if key.startswith("_") and key[1:] in infos:
                continue
            there = infos.get(f"_{key}")
            for n in range(self._n):
                if there is None or there[n]:
                    each[n][key] = map_leaves(lambda leaf, n=n: leaf[n], values)
        return each


def envs_as_bytes(envs: Sequence[Any], name: str) -> bytes | None:
    """Returns environments as bytes, or None if their state cannot be had."""
    if any(_forgets_its_state(env) for env in envs):
        return None
    import cloudpickle

    try:
        state: bytes = cloudpickle.dumps(list(envs))
    except Exception as error:  # whatever an environment's own pickling raises
        logger.info("%s cannot be pickled (%s): episodes start anew at each checkpoint", name, error)
        return None
    return state


def _failure(name: str, call: str, error: Exception) -> str:
    return f"{name}: {call} raised {type(error).__name__}: {error}"


def _copied(observations: Any) -> Any:
    return map_leaves(np.array, observations)


def _example(space: gym.Space[Any]) -> Any:
    if isinstance(space, gym.spaces.Dict):
        return {}
    return () if isinstance(space, gym.spaces.Tuple) else None


def _forgets_its_state(env: Any) -> bool:
    """Whether pickling an environment (or one that it wraps) keeps its arguments only, as gymnasium's EzPickle does."""
    while True:
        if isinstance(env, gym.utils.EzPickle) and type(env).__getstate__ is gym.utils.EzPickle.__getstate__:
            return True
        if not isinstance(env, gym.Wrapper):
            return False
        env = env.env
