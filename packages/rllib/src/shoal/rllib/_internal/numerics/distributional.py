"""Distributions of returns over fixed points (Bellemare et al., "A Distributional Perspective on Reinforcement Learning")."""

from __future__ import annotations

import torch
from torch import Tensor


def project(probs: Tensor, rewards: Tensor, discounts: Tensor, *, v_min: float, v_max: float) -> Tensor:
    """The distribution of reward + discount × return, over the same points as that of the return.

    Args:
        probs: probabilities of evenly spaced returns from v_min to v_max, shape (B, atoms), atoms >= 2.
        rewards: shape (B,).
        discounts: shape (B,); 0 where the episode terminated.
        v_min: the first point.
        v_max: the last; what lies beyond counts as it.

    Returns:
        Probabilities, shape (B, atoms): what falls between two points is shared among them, the nearer gets more.
    """
    atoms = probs.shape[-1]
    support = torch.linspace(v_min, v_max, atoms, dtype=probs.dtype, device=probs.device)
    moved = (rewards[:, None] + discounts[:, None] * support).clamp(v_min, v_max)
    places = ((moved - v_min) * ((atoms - 1) / (v_max - v_min))).clamp(0, atoms - 1)
    below = places.floor().clamp(max=atoms - 2)
    upper_share = places - below
    index = below.long()
    shared = torch.zeros_like(probs)
    shared.scatter_add_(-1, index, probs * (1 - upper_share))
    shared.scatter_add_(-1, index + 1, probs * upper_share)
    return shared
