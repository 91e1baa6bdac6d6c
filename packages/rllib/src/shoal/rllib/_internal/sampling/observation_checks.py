"""Whether what environments answer can be what their spaces say, looked at for a whole fragment at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np


def parts(space: gym.Space[Any], values: Any, path: str = "") -> Iterator[tuple[str, gym.Space[Any], Any]]:
    """Yields the leaves of a space with their values and a text that says where they are."""
    if isinstance(space, gym.spaces.Dict):
        for key, part in space.spaces.items():
            yield from parts(part, values[key], f"{path}[{key!r}]")
    elif isinstance(space, gym.spaces.Tuple):
        for i, part in enumerate(space.spaces):
            yield from parts(part, values[i], f"{path}[{i}]")
    else:
        yield path, space, values


def impossible(space: gym.Space[Any], values: Any) -> Any | None:
    """Returns which of the values (along the first axes) cannot be used: not a number, or no such Discrete value. None if all can."""
    if isinstance(space, gym.spaces.Box):
        if not np.issubdtype(values.dtype, np.floating):
            return None
        if np.isfinite(values.sum()):  # one pass without an array of flags; a sum of large numbers may be infinite, too
            return None
        wrong = ~np.isfinite(values)
    elif isinstance(space, gym.spaces.Discrete):
        wrong = (values < space.start) | (values >= space.start + space.n)
    elif isinstance(space, gym.spaces.MultiDiscrete):
        wrong = (values < space.start) | (values >= space.start + space.nvec)
    else:
        return None
    return wrong if wrong.any() else None


def outside(space: gym.Space[Any], values: Any) -> Any | None:
    """Returns which of a Box's values lie clearly outside of its bounds, or None."""
    if not isinstance(space, gym.spaces.Box) or not np.issubdtype(values.dtype, np.floating):
        return None
    low, high = space.low, space.high
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return None
    slack = 1e-4
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = (values < low - slack * (1 + np.abs(low))) | (values > high + slack * (1 + np.abs(high)))
    return wrong if wrong.any() else None
