"""Environments that do not do what their spaces say are found before anything is sampled."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env.env_checks import check_env, check_multi_agent_env
from shoal.rllib.env.multi_agent_env import MultiAgentEnv, make_multi_agent
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.utils.error import EnvError, MultiAgentEnvError, UnsupportedSpaceException


class Fine(gym.Env[Any, Any]):
    observation_space: Any = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space: Any = gym.spaces.Discrete(2)
    first: Any = (np.zeros(2, np.float32), {})
    answer: Any = (np.zeros(2, np.float32), 1.0, False, False, {})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.first

    def step(self, action: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def env_with(**attributes: Any) -> Any:
    return type("Wrong", (Fine,), attributes)


OBSERVED = np.zeros(2, np.float32)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no space": ({"observation_space": None}, "observation_space is None"),
    "reset gives an observation": ({"first": OBSERVED}, "return a pair"),
    "shape at reset": ({"first": (np.zeros(3, np.float32), {})}, r"reset\(\): observation has shape \(3,\)"),
    "dtype at reset": ({"first": (np.zeros(2), {})}, "float64"),
    "out of bounds": ({"first": (np.full(2, 3.0, np.float32), {})}, r"3\..*outside of.*disable_env_checking"),
    "nan": ({"answer": (np.array([np.nan, 0], np.float32), 0.0, False, False, {})}, "nan.*not in"),
    "four values": ({"answer": (OBSERVED, 0.0, False, {})}, "gym's older form"),
    "reward": ({"answer": (OBSERVED, "much", False, False, {})}, "reward is 'much'"),
    "array as reward": ({"answer": (OBSERVED, np.ones(1), False, False, {})}, "an array"),
    "infinite reward": ({"answer": (OBSERVED, float("inf"), False, False, {})}, "reward is inf"),
    "flag": ({"answer": (OBSERVED, 0.0, None, False, {})}, "terminated=None"),
    "info": ({"answer": (OBSERVED, 0.0, False, False, None)}, "return a dictionary"),
    "raises": ({"answer": KeyError("gone")}, "raised KeyError: 'gone'"),
    "no seed": ({"reset": lambda self: Fine.first}, "takes no seed"),
    "discrete": (
        {"observation_space": gym.spaces.Discrete(3), "first": (3, {}), "answer": (1, 0.0, False, False, {})},
        r"observation is 3, which is not in Discrete\(3\)",
    ),
    "part of a dictionary": (
        {
            "observation_space": gym.spaces.Dict({"a": gym.spaces.Discrete(2)}),
            "first": ({"b": 1}, {}),
        },
        "has not the form",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(wrong: str) -> None:
    attributes, text = WRONG[wrong]
    with pytest.raises(EnvError, match=text) as caught:
        check_env(env_with(**attributes), "env 'Wrong'")
    assert "env 'Wrong'" in str(caught.value)


def test_what_is_right_passes() -> None:
    check_env(Fine, "env 'Fine'")
    check_env(lambda: gym.make("CartPole-v1"), "env 'CartPole-v1'", steps=30)
    space = gym.spaces.Dict({"a": gym.spaces.Discrete(2), "b": gym.spaces.Tuple([gym.spaces.MultiBinary(2)])})
    value = {"a": 1, "b": (np.zeros(2, np.int8),)}
    check_env(env_with(observation_space=space, first=(value, {}), answer=(value, 0, False, True, {})), "env")


def test_spaces_that_no_module_can_act_in() -> None:
    with pytest.raises(UnsupportedSpaceException, match="Text"):
        check_env(env_with(action_space=gym.spaces.Text(3)), "env")


def test_runners_look_before_they_sample_unless_they_are_told_not_to() -> None:
    wrong = env_with(first=(np.full(2, 3.0, np.float32), {}))
    config = PPOConfig().environment(wrong).env_runners(num_env_runners=0)
    with pytest.raises(EnvError, match="outside"):
        SingleAgentEnvRunner(config=config)
    SingleAgentEnvRunner(config=config.copy().environment(disable_env_checking=True)).sample(num_timesteps=3)


def test_environments_are_named_with_close_matches() -> None:
    config = PPOConfig().environment("CartPole-v9x").env_runners(num_env_runners=0)
    with pytest.raises(EnvError, match="did you mean 'CartPole-v"):
        SingleAgentEnvRunner(config=config)
    with pytest.raises(EnvError, match="give its class"):
        SingleAgentEnvRunner(config=PPOConfig().environment(gym.make("CartPole-v1")))
    with pytest.raises(EnvError, match="which is no gymnasium"):
        SingleAgentEnvRunner(config=PPOConfig().environment(lambda context: 3))


class Two(MultiAgentEnv):
    def __init__(self, config: Any = None, answer: Any = None, first: Any = None) -> None:
        super().__init__()
        self.possible_agents = self.agents = ["a", "b"]
        self.observation_spaces = {agent: gym.spaces.Discrete(3) for agent in self.agents}
        self.action_spaces = {agent: gym.spaces.Discrete(2) for agent in self.agents}
        self.answer = answer or ({"a": 1}, {"a": 1.0}, {"__all__": False}, {"__all__": False}, {})
        self.first = first or ({"a": 0, "b": 2}, {})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.first

    def step(self, action_dict: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"first": ({}, {})}, "no observations"),
        ({"first": ({"a": 7}, {})}, "agent 'a': observation is 7"),
        ({"first": ({"c": 1}, {})}, "'c'"),
        ({"first": {"a": 1}}, "two dictionaries"),
        ({"answer": ({"a": 1}, {}, {}, {"__all__": False}, {})}, 'terminateds is {}; it needs a key "__all__"'),
        (
            {"answer": ({"a": 1}, {"b": float("nan")}, {"__all__": False}, {"__all__": False}, {})},
            "agent 'b': the reward is nan",
        ),
        ({"answer": (1, 0.0, False, False, {})}, "five dictionaries"),
    ],
)
def test_multi_agent_environments_are_looked_at_too(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(
        MultiAgentEnvError if "observation is" not in text and "reward" not in text else EnvError, match=text
    ):
        check_multi_agent_env(lambda: Two(**arguments), "env 'Two'")


def test_multi_agent_environments_that_are_right_pass() -> None:
    check_multi_agent_env(Two, "env 'Two'")
    check_multi_agent_env(lambda: make_multi_agent("CartPole-v1")({"num_agents": 2}), "env")
