"""Target networks: networks that follow others slowly."""

from __future__ import annotations

import copy

from torch import nn

from shoal.rllib.utils.torch_utils import update_target_network as update_target_network


def make_target_network(main_net: nn.Module) -> nn.Module:
    """Returns a copy of a network, with its weights, that takes no gradients.

    Args:
        main_net: what the copy is to follow, by `update_target_network`.

    Example:
        >>> import torch
        >>> from shoal.rllib.core.learner.utils import make_target_network
        >>> target = make_target_network(torch.nn.Linear(2, 1))
        >>> [weights.requires_grad for weights in target.parameters()]
        [False, False]
    """
    return copy.deepcopy(main_net).requires_grad_(False)
