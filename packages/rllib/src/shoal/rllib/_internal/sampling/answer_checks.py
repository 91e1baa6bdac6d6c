"""Whether a single answer of an environment has the form that its spaces say, and what is said where it has not."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.sampling.observation_checks import impossible, parts
from shoal.rllib.utils.error import EnvError


def check_form(name: str, space: gym.Space[Any], observation: Any, *, types_too: bool) -> None:
    """Raises EnvError if an observation has another shape (or type) than its space says.

    Args:
        name: how messages call the environment.
        space: of the observation.
        observation: what the environment gave.
        types_too: whether another type is an error, rather than something to convert.
    """
    try:
        for path, part, value in parts(space, observation):
            if part.shape is None or part.dtype is None:
                continue
            array = np.asarray(value)
            wanted = np.dtype(part.dtype)
            is_shaped = array.shape == part.shape
            if not is_shaped or (types_too and not _fits(array.dtype, wanted, value)):
                convert = (
                    "" if not is_shaped else ", or have it converted: config.environment(disable_env_checking=True)"
                )
                raise EnvError(
                    f"{name}: observation{path} has shape {array.shape} and dtype {array.dtype}, and its space is {part} with dtype "
                    f"{wanted}; return it as the space says, or declare what it is{convert}. It is {short(value)}"
                )
    except (KeyError, IndexError, TypeError) as error:
        raise EnvError(
            f"{name}: the observation {short(observation)} has not the form of its space {space} ({error!r})"
        ) from None


def check_values(where: str, space: gym.Space[Any], observation: Any) -> None:
    """Raises EnvError if an observation has numbers that are not finite, or discrete values that the space has not."""
    for path, part, value in parts(space, observation):
        if part.shape is None or part.dtype is None:
            continue
        if impossible(part, np.asarray(value)) is not None:
            raise EnvError(f"{where}: observation{path} is {short(value)}, which is not in {part}")


def check_reward(where: str, reward: Any) -> None:
    """Raises EnvError if a reward is no finite number."""
    try:
        number = float(reward)
    except (TypeError, ValueError):
        raise EnvError(f"{where}: the reward is {reward!r}; return a number") from None
    if not math.isfinite(number):
        raise EnvError(f"{where}: the reward is {number}; rewards have to be finite numbers")


def short(value: Any) -> str:
    """Returns a value as a text that is not too long."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _fits(given: np.dtype[Any], wanted: np.dtype[Any], value: Any) -> bool:
    return given == wanted or isinstance(value, int | float | bool) or np.can_cast(given, wanted, "safe")
