"""Random actions, of those that an observation allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np


def mask_of(observation: Any, space: gym.Space[Any], key: str | None) -> Any:
    """Returns which of a space's discrete actions an observation allows, or None where it says nothing of that.

    Args:
        observation: one, whether or not it has a mask.
        space: of actions.
        key: where observations that are dictionaries have the mask.
    """
    if key is None or not isinstance(space, gym.spaces.Discrete) or not isinstance(observation, Mapping):
        return None
    mask = observation.get(key)
    if mask is None or np.shape(mask) != (int(space.n),) or not np.any(mask):
        return None
    return np.asarray(mask).astype(np.int8)


def allowed_action(space: gym.Space[Any], observation: Any, key: str | None) -> Any:
    """Returns a random action that the observation allows."""
    mask = mask_of(observation, space, key)
    return space.sample() if mask is None else space.sample(mask)


def keep_to_masks(
    actions: Any, observations: Sequence[Any], space: gym.Space[Any], key: str | None, generator: np.random.Generator
) -> None:
    """Puts others in the place of actions that are not allowed.

    Args:
        actions: one for each observation.
        observations: what they are for.
        space: of one action.
        key: as of `mask_of`.
        generator: of the others.
    """
    for n, observation in enumerate(observations):
        mask = mask_of(observation, space, key)
        if mask is not None and not mask[int(actions[n]) - int(space.start)]:  # type: ignore[attr-defined]
            actions[n] = generator.choice(np.flatnonzero(mask)) + space.start  # type: ignore[attr-defined]
