"""Wrappers for Atari games, after Mnih et al., Human-level control through deep reinforcement learning (2015)."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np


def is_atari(env: Any) -> bool:
    """Returns whether an environment (or the id of one) is an Atari game."""
    if isinstance(env, str):
        return env.startswith(("ALE/", "ale_py:")) or "NoFrameskip-v" in env
    return hasattr(env.unwrapped, "ale")


def get_wrapper_by_cls(env: Any, cls: type[Any]) -> Any | None:
    """Returns the wrapper of a class around an environment, or None."""
    while True:
        if isinstance(env, cls):
            return env
        if not isinstance(env, gym.Wrapper):
            return None
        env = env.env


class ClipRewardEnv(gym.RewardWrapper[Any, Any]):
    """Rewards are their signs: -1, 0 or +1."""

    def reward(self, reward: Any) -> float:
        return float(np.sign(reward))


class NoopResetEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Episodes begin with up to `noop_max` steps of doing nothing; how many is drawn from the environment's generator."""

    def __init__(self, env: gym.Env[Any, Any], noop_max: int = 30) -> None:
        super().__init__(env)
        self.noop_max = noop_max
        self.noop_action = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        for _ in range(int(self.unwrapped.np_random.integers(1, self.noop_max + 1))):
            observation, _, terminated, truncated, info = self.env.step(self.noop_action)
            if terminated or truncated:
                observation, info = self.env.reset(options=options)
        return observation, info


class FireResetEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Episodes begin with FIRE, for games that wait for it."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.env.reset(seed=seed, options=options)
        for action in (1, 2):
            observation, _, terminated, truncated, info = self.env.step(action)
            if terminated or truncated:
                observation, info = self.env.reset(options=options)
        return observation, info


class EpisodicLifeEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An episode ends when a life is lost; the game goes on in the next one until it is over."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.lives = 0
        self.was_real_terminated = True

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.was_real_terminated = terminated or truncated
        lives = int(self.unwrapped.ale.lives())  # type: ignore[attr-defined]
        if 0 < lives < self.lives:
            terminated = True
        self.lives = lives
        return observation, reward, terminated, truncated, info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self.was_real_terminated or seed is not None:
            observation, info = self.env.reset(seed=seed, options=options)
        else:
            observation, _, terminated, truncated, info = self.env.step(0)  # on from where the life was lost
            if terminated or truncated:
                observation, info = self.env.reset(options=options)
        self.was_real_terminated = False
        self.lives = int(self.unwrapped.ale.lives())  # type: ignore[attr-defined]
        return observation, info


class MaxAndSkipEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Repeats each action `skip` times, and shows the largest of the last two pictures: sprites flicker."""

    def __init__(self, env: gym.Env[Any, Any], skip: int = 4) -> None:
        super().__init__(env)
        self.skip = skip

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total = 0.0
        last: deque[Any] = deque(maxlen=2)
        terminated = truncated = False
        info: dict[str, Any] = {}
        for _ in range(self.skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            last.append(observation)
            total += float(reward)
            if terminated or truncated:
                break
        return np.max(np.stack(last), axis=0), total, terminated, truncated, info


class GrayScaleAndResize(gym.ObservationWrapper[Any, Any, Any]):
    """Pictures of dim x dim pixels, gray if wanted."""

    def __init__(self, env: gym.Env[Any, Any], dim: int = 64, grayscale: bool = True) -> None:
        super().__init__(env)
        self.dim = dim
        self.grayscale = grayscale
        self.observation_space = gym.spaces.Box(0, 255, (dim, dim, 1 if grayscale else 3), np.uint8)

    def observation(self, observation: Any) -> Any:
        import cv2

        if self.grayscale and observation.shape[-1] == 3:
            observation = cv2.cvtColor(observation, cv2.COLOR_RGB2GRAY)
        resized = cv2.resize(observation, (self.dim, self.dim), interpolation=cv2.INTER_AREA)
        return resized.reshape(self.observation_space.shape)


WarpFrame = GrayScaleAndResize


class NormalizedImageEnv(gym.ObservationWrapper[Any, Any, Any]):
    """Pictures as numbers from -1 to 1."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, env.observation_space.shape, np.float32)

    def observation(self, observation: Any) -> Any:
        return observation.astype(np.float32) / 128.0 - 1.0


class FrameStack(gym.Wrapper[Any, Any, Any, Any]):
    """The last k pictures as one, along the last axis."""

    def __init__(self, env: gym.Env[Any, Any], k: int) -> None:
        super().__init__(env)
        self.k = k
        self.frames: deque[Any] = deque(maxlen=k)
        space = env.observation_space
        assert isinstance(space, gym.spaces.Box)
        low, high = np.concatenate([space.low] * k, -1), np.concatenate([space.high] * k, -1)
        self.observation_space = gym.spaces.Box(low, high, dtype=space.dtype.type)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self.frames.extend([observation] * self.k)
        return np.concatenate(self.frames, -1), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.frames.append(observation)
        return np.concatenate(self.frames, -1), reward, terminated, truncated, info


def wrap_atari_for_new_api_stack(
    env: gym.Env[Any, Any],
    dim: int = 64,
    frameskip: int = 4,
    framestack: int | None = None,
    grayscale: bool = True,
    scale: bool = True,
    clip_rewards: bool = True,
) -> gym.Env[Any, Any]:
    """Returns an Atari game as algorithms learn it best.

    Args:
        env: the game, made with `frameskip=1`.
        dim: pixels of a side.
        frameskip: how often each action is repeated.
        framestack: how many pictures make one observation; None: one (then use the FrameStacking connectors).
        grayscale: whether pictures are gray.
        scale: whether pixels are numbers from -1 to 1, rather than from 0 to 255.
        clip_rewards: whether rewards are their signs.

    Example:
        >>> import ale_py, gymnasium as gym
        >>> gym.register_envs(ale_py)
        >>> env = wrap_atari_for_new_api_stack(gym.make("ALE/Pong-v5", frameskip=1), framestack=4)
        >>> env.observation_space.shape
        (64, 64, 4)
    """
    env = gym.wrappers.TimeLimit(env, max_episode_steps=108_000)
    env = NoopResetEnv(env)
    env = MaxAndSkipEnv(env, skip=frameskip)
    env = EpisodicLifeEnv(env)
    if "FIRE" in env.unwrapped.get_action_meanings():  # type: ignore[attr-defined]
        env = FireResetEnv(env)
    if clip_rewards:
        env = ClipRewardEnv(env)
    env = GrayScaleAndResize(env, dim, grayscale)
    if scale:
        env = NormalizedImageEnv(env)
    return env if framestack is None else FrameStack(env, framestack)


def wrap_deepmind(
    env: gym.Env[Any, Any], dim: int = 84, framestack: bool = True, noframeskip: bool = False
) -> gym.Env[Any, Any]:
    """Returns an Atari game as in the paper: gray pictures, four of them in an observation, clipped rewards.

    Args:
        env: the game.
        dim: pixels of a side.
        framestack: whether four pictures make one observation.
        noframeskip: whether the game shows each of its pictures, so that actions are repeated here.
    """
    env = NoopResetEnv(env)
    if noframeskip:
        env = MaxAndSkipEnv(env, skip=4)
    env = EpisodicLifeEnv(env)
    if "FIRE" in env.unwrapped.get_action_meanings():  # type: ignore[attr-defined]
        env = FireResetEnv(env)
    env = ClipRewardEnv(GrayScaleAndResize(env, dim))
    return FrameStack(env, 4) if framestack else env
