"""The environments that users learn from do what their spaces say."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import pytest

from shoal.rllib.env.env_checks import check_env, check_multi_agent_env
from shoal.rllib.examples.envs.classes import cartpole_crashing, multi_agent, random_env
from shoal.rllib.examples.envs.classes.cartpole_crashing import CartPoleCrashing, EnvCrashed
from shoal.rllib.examples.envs.classes.repeat_after_me_env import RepeatAfterMeEnv
from shoal.rllib.examples.envs.classes.simple_corridor import SimpleCorridor

SINGLE = [
    ("stateless_cartpole", "StatelessCartPole"),
    ("simple_corridor", "SimpleCorridor"),
    ("random_env", "RandomEnv"),
    ("random_env", "RandomLargeObsSpaceEnv"),
    ("repeat_after_me_env", "RepeatAfterMeEnv"),
    ("repeat_initial_obs_env", "RepeatInitialObsEnv"),
]


@pytest.mark.parametrize(("module", "name"), SINGLE)
def test_single_agent_ones(module: str, name: str) -> None:
    cls = getattr(importlib.import_module(f"shoal.rllib.examples.envs.classes.{module}"), name)
    check_env(lambda: cls({}), name, steps=30)


MULTI = ["MultiAgentCartPole", "MultiAgentPendulum", "MultiAgentMountainCar", "MultiAgentStatelessCartPole"]


@pytest.mark.parametrize("name", [*MULTI, "RockPaperScissors", "TwoStepGame", "MultiAgentRandomEnv"])
def test_multi_agent_ones(name: str) -> None:
    cls = getattr(multi_agent, name)
    check_multi_agent_env(lambda: cls({"num_agents": 2} if name.startswith("Multi") else {}), name)


def test_several_copies_are_also_where_one_is() -> None:
    assert random_env.RandomMultiAgentEnv is multi_agent.MultiAgentRandomEnv
    assert cartpole_crashing.MultiAgentCartPoleCrashing is multi_agent.MultiAgentCartPoleCrashing


def test_a_corridor_ends_at_its_goal() -> None:
    env = SimpleCorridor({"corridor_length": 2})
    env.reset(seed=1)
    assert env.step(0)[1:3] == (-0.1, False)
    assert env.step(1)[1:3] == (-0.1, False)
    _, reward, terminated, _, _ = env.step(1)
    assert terminated and 0.5 <= reward <= 1.5


def test_repeating_what_was_seen_is_right() -> None:
    env = RepeatAfterMeEnv({"repeat_delay": 2})
    seen = [0, 0, env.reset(seed=3)[0]]
    for _ in range(20):
        observation, reward, _, _, _ = env.step(seen[-3])
        assert reward == 1.0
        seen.append(observation)


def test_two_steps_are_worth_eight_at_most() -> None:
    env: Any = multi_agent.TwoStepGame()
    brought = {}
    for first in (0, 1):
        for a in (0, 1):
            for b in (0, 1):
                env.reset()
                env.step({"agent_1": first, "agent_2": 0})
                brought[first, a, b] = sum(env.step({"agent_1": a, "agent_2": b})[1].values())
    assert {brought[0, a, b] for a in (0, 1) for b in (0, 1)} == {7.0}
    assert [brought[1, 0, 0], brought[1, 0, 1], brought[1, 1, 0], brought[1, 1, 1]] == [0.0, 1.0, 1.0, 8.0]


def test_crashes_come_when_they_are_told_to() -> None:
    env = CartPoleCrashing({"crash_after_n_steps": 3, "p_crash": 0.0})
    env.reset(seed=1)
    env.step(0)
    env.step(1)
    with pytest.raises(EnvCrashed, match="after 3 steps"):
        env.step(0)
    assert isinstance(env, gym.Env)
