"""Transitions over n steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class NStep(NamedTuple):
    """Transitions over up to n steps, an entry for each that was asked for."""

    returns: NDArray[np.float32]
    """Discounted sums of the rewards on the way."""
    last: Indices
    """The last step of each."""
    after: Indices
    """The place after that step, where its next observation is."""
    steps: Indices
    """How many steps each has: n, or fewer where the episode has no more."""


def n_step_transitions(
    rewards: NDArray[Any], following: Indices, starts: Indices, n: int | Indices, gamma: float
) -> NStep:
    """What happens in n steps from each of `starts` on.

    Args:
        rewards: of the step at each place.
        following: the place that the step at each place leads to; negative where no step was made (yet).
        starts: places of first steps, shape (B,).
        n: how many steps, >= 1: one number for all, or one each.
        gamma: what a reward a step later is worth.

    Example:
        >>> rewards, following = np.array([1.0, 2.0, 4.0, 0.0]), np.array([1, 2, 3, -1])
        >>> n_step_transitions(rewards, following, np.array([0, 2]), 2, 0.5)[:3]
        (array([2., 4.], dtype=float32), array([1, 2]), array([2, 3]))
    """
    returns = rewards[starts].astype(np.float32)
    last, after = starts, following[starts]
    steps = np.ones(len(starts), np.int64)
    for step in range(1, int(np.max(n)) if len(starts) else 1):
        goes_on = (following[after] >= 0) & (step < n)
        if not goes_on.any():
            break
        returns += (gamma**step * np.where(goes_on, rewards[after], 0)).astype(np.float32)
        last = np.where(goes_on, after, last)
        after = np.where(goes_on, following[after], after)
        steps += goes_on
    return NStep(returns, last, after, steps)
