"""Wrappers of Atari games around the emulator."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib.env.wrappers import atari_wrappers as wrappers

ale_py = pytest.importorskip("ale_py")
pytest.importorskip("cv2")


@pytest.fixture
def game() -> Any:
    gym.register_envs(ale_py)
    env = gym.make("ALE/Breakout-v5", frameskip=1)
    yield env
    env.close()


def test_a_game_for_modules(game: Any) -> None:
    env = wrappers.wrap_atari_for_new_api_stack(game, dim=42, framestack=3)
    assert env.observation_space == gym.spaces.Box(-1.0, 1.0, (42, 42, 3), np.float32)
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    assert wrappers.is_atari(env) and not wrappers.is_atari("CartPole-v1")
    assert wrappers.get_wrapper_by_cls(env, wrappers.FireResetEnv) is not None
    env.action_space.seed(1)
    rewards, lives, over = set(), [], 0
    for _ in range(300):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rewards.add(reward)
        if terminated or truncated:
            over += 1
            lives.append(env.unwrapped.ale.lives())  # type: ignore[attr-defined]
            env.reset()
    assert observation in env.observation_space
    assert rewards <= {-1.0, 0.0, 1.0} and over >= 2
    assert max(lives) > 0  # a lost life ends an episode, not the game


def test_a_game_as_in_the_paper(game: Any) -> None:
    env = wrappers.wrap_deepmind(game, noframeskip=True)
    assert env.observation_space == gym.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    assert env.reset(seed=1)[0].shape == (84, 84, 4)


def test_flicker_is_gone_and_rewards_are_added() -> None:
    class Flickering(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(0, 255, (1,), np.uint8)
        action_space = gym.spaces.Discrete(1)
        t = 0

        def step(self, action: Any) -> Any:
            self.t += 1
            return np.array([self.t % 2 * 100], np.uint8), 1.0, self.t == 7, False, {}

    env = wrappers.MaxAndSkipEnv(Flickering(), skip=4)
    assert [(o[0], r, t) for o, r, t, _, _ in (env.step(0), env.step(0))] == [(100, 4.0, False), (100, 3.0, True)]
