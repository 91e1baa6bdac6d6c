"""The form of a space's values: as trees of arrays of zeros."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


def form_of(space: gym.Space[Any]) -> Any | None:
    """Returns a value of zeros as a tree of arrays, or None if values of the space have no fixed form."""
    if isinstance(space, gym.spaces.Dict):
        parts = {key: form_of(part) for key, part in space.spaces.items()}
        return None if any(part is None for part in parts.values()) else parts
    if isinstance(space, gym.spaces.Tuple):
        forms = tuple(form_of(part) for part in space.spaces)
        return None if any(form is None for form in forms) else forms
    if space.shape is None or space.dtype is None:
        return None
    return np.zeros(space.shape, space.dtype)


def base_of_zero(space: gym.Space[Any]) -> gym.Space[Any]:
    """Returns the space with Discrete values counted from 0, as modules count them."""
    if isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({key: base_of_zero(part) for key, part in space.spaces.items()})
    if isinstance(space, gym.spaces.Tuple):
        return gym.spaces.Tuple([base_of_zero(part) for part in space.spaces])
    if isinstance(space, gym.spaces.Discrete) and space.start != 0:
        return gym.spaces.Discrete(int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete) and np.any(space.start != 0):
        return gym.spaces.MultiDiscrete(space.nvec)
    return space
