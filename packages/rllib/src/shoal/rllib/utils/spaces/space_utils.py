"""Values of spaces: how they are batched, flattened, and brought between bounds."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


def get_base_struct_from_space(space: gym.Space[Any]) -> Any:
    """The spaces that a Dict or Tuple space is made of, as a nested value; any other space as it is.

    Example:
        >>> import gymnasium as gym
        >>> get_base_struct_from_space(gym.spaces.Dict({"a": gym.spaces.Tuple([gym.spaces.Discrete(2)])}))
        {'a': (Discrete(2),)}
    """
    if isinstance(space, gym.spaces.Dict):
        return {key: get_base_struct_from_space(part) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(get_base_struct_from_space(part) for part in space.spaces)
    return space
