"""Whether environments do what their spaces say, looked at before anything is sampled: on a copy that is stepped a few times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.sampling.answer_checks import check_form, check_reward, check_values, short
from shoal.rllib._internal.sampling.observation_checks import outside, parts
from shoal.rllib._internal.sampling.random_actions import allowed_action
from shoal.rllib.utils.error import EnvError, MultiAgentEnvError, UnsupportedSpaceException

STEPS = 2
"""How often the copy is stepped."""


def check_env(make: Callable[[], Any], name: str, *, steps: int = STEPS, mask_key: str | None = None) -> None:
    """Makes an environment, steps it a few times with random actions, and closes it.

    Args:
        make: makes it.
        name: how messages call it.
        steps: how often it is stepped.
        mask_key: where observations that are dictionaries have the mask of allowed actions.

    Raises:
        EnvError: (a ValueError) it raised, or answered with what its spaces do not have; with the values.
    """
    env = make()
    try:
        check_spaces(env, name)
        action_space = env.action_space
        action_space.seed(0)
        observation = _reset(env, name)
        check_observation(f"{name}: reset()", env.observation_space, observation)
        for number in range(steps):
            action = allowed_action(action_space, observation, mask_key)
            where = f"{name}: step({short(action)}), the {number + 1}. since reset(),"
            try:
                answer = env.step(action)
            except Exception as error:
                raise EnvError(f"{where} raised {type(error).__name__}: {error}") from error
            if not isinstance(answer, tuple) or len(answer) != 5:
                raise EnvError(
                    f"{where} returned {short(answer)}; return five values: observation, reward, terminated, truncated and info"
                    + (" (this is gym's older form, of four)" if isinstance(answer, tuple) and len(answer) == 4 else "")
                )
            observation, reward, terminated, truncated, info = answer
            check_observation(where, env.observation_space, observation)
            if np.ndim(reward):
                raise EnvError(f"{where} returned the reward {reward!r}, an array; return a number")
            check_reward(where, reward)
            for what, flag in (("terminated", terminated), ("truncated", truncated)):
                if not isinstance(flag, bool | np.bool_):
                    raise EnvError(f"{where} returned {what}={flag!r}; return True or False")
            if not isinstance(info, dict):
                raise EnvError(f"{where} returned the info {short(info)}; return a dictionary")
            if terminated or truncated:
                observation = _reset(env, name)
    finally:
        env.close()


def check_spaces(env: Any, name: str) -> None:
    """Raises EnvError if an environment has no spaces, or such that values cannot be drawn from."""
    for kind in ("observation_space", "action_space"):
        space = getattr(env, kind, None)
        if not isinstance(space, gym.Space):
            raise EnvError(f"{name}: its {kind} is {space!r}; set it in __init__ to a gymnasium.Space")
        if isinstance(space, gym.spaces.Box) and bool((space.low > space.high).any()):
            raise EnvError(f"{name}: its {kind} {space} has a lower bound above its upper one")
    for _, space, _ in _leaves(env.action_space):
        known = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
        if not isinstance(space, known):
            raise UnsupportedSpaceException(
                f"{name}: no module can act in {space}; use {', '.join(kind.__name__ for kind in known)}"
            )


def check_observation(where: str, space: gym.Space[Any], observation: Any) -> None:
    """Raises EnvError if an observation has another form, or other values, than its space."""
    check_form(where, space, observation, types_too=True)
    check_values(where, space, observation)
    for path, part, value in parts(space, observation):
        if part.shape is None or part.dtype is None:
            if not part.contains(value):
                raise EnvError(f"{where}: observation{path} is {short(value)}, which is not in {part}")
            continue
        wrong = outside(part, np.asarray(value))
        if wrong is not None:
            raise EnvError(
                f"{where}: observation{path} is {short(value)}, which lies outside of {part}; widen the space's bounds, or set "
                "config.environment(disable_env_checking=True)"
            )


def check_multi_agent_env(make: Callable[[], Any], name: str, *, mask_key: str | None = None) -> None:
    """Makes a multi-agent environment, steps it once, and closes it. Arguments as of `check_env`.

    Raises:
        MultiAgentEnvError: (a ValueError) it raised, or answered with what its spaces do not have; with the values.
    """
    from shoal.rllib._internal.sampling.multi_agent_stepping import MultiAgentStepper

    def not_anew(n: int) -> Any:
        raise MultiAgentEnvError(f"{name} asks to be made anew while it is checked")

    env = make()
    try:
        for agent in env.possible_agents:
            for get in (env.get_observation_space, env.get_action_space):
                try:
                    get(agent)
                except (ValueError, KeyError) as error:
                    raise MultiAgentEnvError(f"{name}: agent {agent!r} of possible_agents: {error}") from error
        stepper = MultiAgentStepper([env], lambda n: name, not_anew, False, True)
        observations, _ = stepper.reset([None])
        if strangers := [agent for agent in observations[0] if agent not in env.possible_agents]:
            raise MultiAgentEnvError(
                f"{name}: reset() observed {strangers[0]!r}, who is not in possible_agents {env.possible_agents}"
            )
        actions = {
            agent: allowed_action(env.get_action_space(agent), seen, mask_key)
            for agent, seen in observations[0].items()
        }
        stepper.step([actions], [False])
    finally:
        env.close()


def _reset(env: Any, name: str) -> Any:
    try:
        answer = env.reset(seed=0)
    except TypeError as error:
        if "seed" in str(error):
            raise EnvError(
                f"{name}: reset() takes no seed ({error}); its signature is reset(self, *, seed=None, options=None)"
            ) from error
        raise EnvError(f"{name}: reset() raised TypeError: {error}") from error
    except Exception as error:
        raise EnvError(f"{name}: reset() raised {type(error).__name__}: {error}") from error
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise EnvError(
            f"{name}: reset() returned {short(answer)}; return a pair of the observation and an info dictionary"
        )
    return answer[0]


def _leaves(space: gym.Space[Any]) -> Any:
    if isinstance(space, gym.spaces.Dict):
        for part in space.spaces.values():
            yield from _leaves(part)
    elif isinstance(space, gym.spaces.Tuple):
        for part in space.spaces:
            yield from _leaves(part)
    else:
        yield "", space, None
