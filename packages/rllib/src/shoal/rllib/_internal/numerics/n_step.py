"""Returns over n steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def n_step_returns(
    rewards: NDArray[Any],
    starts: NDArray[np.int64],
    steps: NDArray[np.int64],
    gamma: float,
    capacity: int | None = None,
) -> NDArray[np.float32]:
    """The discounted sum of the rewards of `steps[i]` steps from step `starts[i]` on.

    Args:
        rewards: of all steps, one after the other.
        starts: indices of first steps, shape (B,).
        steps: how many steps each return has, >= 1; shape (B,).
        gamma: what a reward a step later is worth.
        capacity: where the rewards go round and begin anew; None where they do not.

    Example:
        >>> n_step_returns(np.array([1.0, 2.0, 4.0]), np.array([0, 1]), np.array([2, 1]), 0.5)
        array([2., 2.], dtype=float32)
    """
    longest = int(steps.max()) if len(steps) else 1
    if longest == 1:
        return np.asarray(rewards[starts], np.float32)
    ahead = np.arange(longest)
    indices = starts[:, None] + ahead
    indices = indices % capacity if capacity is not None else np.minimum(indices, len(rewards) - 1)
    counted = np.where(ahead < steps[:, None], rewards[indices], 0.0)
    return np.asarray(counted @ (gamma**ahead), np.float32)
