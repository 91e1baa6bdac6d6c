"""V-trace (Espeholt et al., "IMPALA: Scalable Distributed Deep-RL with Importance Weighted Actor-Learner Architectures")."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from shoal.rllib._internal.numerics.scan import following, last_steps, reverse_scan


class VTrace(NamedTuple):
    """What V-trace gives for each step."""

    value_targets: Tensor
    advantages: Tensor
    """Weights of the policy's gradient."""


def vtrace(
    *,
    target_logp: Tensor,
    behaviour_logp: Tensor,
    rewards: Tensor,
    values: Tensor,
    bootstrap_values: Tensor,
    lengths: Tensor,
    gamma: float,
    lambda_: float = 1.0,
    clip_rho_threshold: float = 1.0,
    clip_pg_rho_threshold: float = 1.0,
) -> VTrace:
    """Value targets and advantages of what another policy did. No gradient flows through them.

    Args:
        target_logp: log-probability of each action under the policy that learns; flat, shape (B,).
        behaviour_logp: the same under the policy that acted.
        rewards: shape (B,).
        values: V of each step's observation.
        bootstrap_values: V of the observation after each episode's last step, 0 where it terminated; shape (episodes,).
        lengths: steps of each episode, integers >= 1 that come to B.
        gamma: what a reward a step later is worth.
        lambda_: makes traces shorter below 1.
        clip_rho_threshold: the paper's rho bar: how much an action that has become likelier counts for the values.
        clip_pg_rho_threshold: the same for the policy's gradient.
    """
    weights = (target_logp.detach() - behaviour_logp).exp()
    values, bootstrap_values = values.detach(), bootstrap_values.detach()
    deltas = weights.clamp(max=clip_rho_threshold) * (
        rewards + gamma * following(values, bootstrap_values, lengths) - values
    )
    traces = gamma * lambda_ * weights.clamp(max=1.0)
    traces[last_steps(lengths)] = 0
    targets = values + reverse_scan(deltas, traces, int(lengths.max()))
    ahead = rewards + gamma * following(targets, bootstrap_values, lengths) - values
    return VTrace(targets, weights.clamp(max=clip_pg_rho_threshold) * ahead)
