"""Linear recurrences backwards in time."""

from __future__ import annotations

from typing import Any


def reverse_scan(x: Any, coefficients: Any, longest: int | None = None) -> Any:
    """y with y[t] = x[t] + coefficients[t] y[t + 1] along the first axis, and 0 after its end.

    A coefficient of 0 at the last step of each episode keeps them apart. Each round doubles how many steps ahead y has seen, so that there
    are as many rounds as the logarithm of the longest episode.

    Args:
        x: an array or a tensor, of floats.
        coefficients: of the same kind and shape.
        longest: steps of the longest episode, where known; None for all steps.

    Example:
        >>> import numpy as np
        >>> reverse_scan(np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.0]))
        array([1.75, 1.5 , 1.  ])
    """
    sums, products = x + 0, coefficients + 0
    seen, steps = 1, min(len(x), longest or len(x))
    while seen < steps:
        sums[:-seen] += products[:-seen] * sums[seen:]
        ahead = products[:-seen] * products[seen:]
        products[:-seen] = ahead
        products[-seen:] = 0
        seen *= 2
    return sums


def last_steps(lengths: Any) -> Any:
    """The index of the last step of each episode in flat columns."""
    return lengths.cumsum(0) - 1


def following(values: Any, after_last: Any, lengths: Any) -> Any:
    """For each step the value of the step that follows it in its episode.

    Args:
        values: flat, shape (B,).
        after_last: what follows the last step of each episode, shape (episodes,).
        lengths: steps of each episode, >= 1.
    """
    shifted = values + 0
    shifted[:-1] = values[1:]
    shifted[last_steps(lengths)] = after_last
    return shifted
