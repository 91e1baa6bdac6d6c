"""From actions as modules make them to actions as environments take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

Scaling = Callable[[Any], Any]


def scaling_for(space: gym.Space[Any], *, normalize: bool, clip: bool) -> Scaling | None:
    """Returns what turns modules' actions into the environment's, or None if they are the same.

    Args:
        space: of one action.
        normalize: Box actions of modules are in [-1, 1]; they are stretched to the space's bounds.
        clip: Box actions are cut at the space's bounds.
    """
    if isinstance(space, gym.spaces.Dict):
        parts = {key: scaling_for(part, normalize=normalize, clip=clip) for key, part in space.spaces.items()}
        if not any(parts.values()):
            return None
        return lambda actions: {key: _apply(scaling, actions[key]) for key, scaling in parts.items()}
    if isinstance(space, gym.spaces.Tuple):
        scalings = [scaling_for(part, normalize=normalize, clip=clip) for part in space.spaces]
        if not any(scalings):
            return None
        return lambda actions: tuple(_apply(scaling, part) for scaling, part in zip(scalings, actions, strict=True))
    if isinstance(space, gym.spaces.Box):
        return _box_scaling(space, normalize, clip)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete) and np.any(np.asarray(space.start) != 0):
        start = np.asarray(space.start)
        return lambda actions: actions + start
    return None


def inverse_for(space: gym.Space[Any], *, normalize: bool) -> Scaling | None:
    """Returns what turns the environment's actions into modules', or None if they are the same."""
    if isinstance(space, gym.spaces.Dict):
        parts = {key: inverse_for(part, normalize=normalize) for key, part in space.spaces.items()}
        if not any(parts.values()):
            return None
        return lambda actions: {key: _apply(scaling, actions[key]) for key, scaling in parts.items()}
    if isinstance(space, gym.spaces.Tuple):
        scalings = [inverse_for(part, normalize=normalize) for part in space.spaces]
        if not any(scalings):
            return None
        return lambda actions: tuple(_apply(scaling, part) for scaling, part in zip(scalings, actions, strict=True))
    if isinstance(space, gym.spaces.Box) and normalize and is_scaled(space):
        low, span = space.low, space.high - space.low
        return lambda actions: (2.0 * (actions - low) / span - 1.0).astype(space.dtype, copy=False)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete) and np.any(np.asarray(space.start) != 0):
        start = np.asarray(space.start)
        return lambda actions: actions - start
    return None


def is_scaled(space: gym.spaces.Box) -> bool:
    """Whether a Box has bounds on all sides, of floating point numbers."""
    return bool(
        np.issubdtype(space.dtype, np.floating) and np.isfinite(space.low).all() and np.isfinite(space.high).all()
    )


def _box_scaling(space: gym.spaces.Box, normalize: bool, clip: bool) -> Scaling | None:
    low, high, dtype = space.low, space.high, space.dtype
    if normalize and is_scaled(space):
        half, ones = (high - low) / 2.0, dtype.type(1.0)

        def stretched(actions: Any) -> Any:
            wide = low + (actions + ones) * half
            return np.minimum(np.maximum(wide, low), high).astype(dtype, copy=False)

        return stretched
    if clip:
        return lambda actions: np.minimum(np.maximum(actions, low), high).astype(dtype, copy=False)
    if np.issubdtype(dtype, np.integer):
        return lambda actions: np.clip(np.rint(actions), low, high).astype(dtype, copy=False)
    return lambda actions: actions.astype(dtype, copy=False)


def _apply(scaling: Scaling | None, actions: Any) -> Any:
    return actions if scaling is None else scaling(actions)
