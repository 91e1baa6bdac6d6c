"""Generalised advantage estimation (Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation")."""

from __future__ import annotations

from typing import Any

from shoal.rllib._internal.numerics.scan import following, last_steps, reverse_scan


def generalized_advantages(
    *, rewards: Any, values: Any, bootstrap_values: Any, lengths: Any, gamma: float, lambda_: float
) -> tuple[Any, Any]:
    """How much better each step's action was than expected, and what the value function should have said.

    Args:
        rewards: flat, shape (B,), floats: arrays or tensors, all of the same kind.
        values: V of each step's observation.
        bootstrap_values: V of the observation after each episode's last step; 0 where the episode terminated. Shape (episodes,).
        lengths: steps of each episode, integers >= 1 that come to B.
        gamma: what a reward a step later is worth.
        lambda_: 0 for the one-step estimate, 1 for the whole return.

    Returns:
        Advantages and value targets, shape (B,) each.
    """
    deltas = rewards + gamma * following(values, bootstrap_values, lengths) - values
    advantages = reverse_scan(deltas, _within(values, lengths, gamma * lambda_), _longest(lengths))
    return advantages, advantages + values


def returns_to_go(*, rewards: Any, bootstrap_values: Any, lengths: Any, gamma: float) -> Any:
    """The discounted rewards from each step to its episode's end, and what is expected after it. Arguments as above."""
    whole = rewards + 0
    whole[last_steps(lengths)] += gamma * bootstrap_values
    return reverse_scan(whole, _within(rewards, lengths, gamma), _longest(lengths))


def _within(like: Any, lengths: Any, coefficient: float) -> Any:
    coefficients = like * 0 + coefficient
    coefficients[last_steps(lengths)] = 0
    return coefficients


def _longest(lengths: Any) -> int:
    return int(lengths.max()) if len(lengths) else 0
