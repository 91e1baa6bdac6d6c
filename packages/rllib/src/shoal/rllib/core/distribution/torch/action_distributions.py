"""Which distribution goes with which space of actions."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from shoal.rllib._internal.structures import leaves, map_structure
from shoal.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDiagGaussian,
    TorchDistribution,
    TorchMultiCategorical,
    TorchMultiDistribution,
    TorchSquashedGaussian,
)
from shoal.rllib.utils.spaces.space_utils import get_base_struct_from_space


def distribution_class_for(space: gym.Space[Any], *, squashed: bool = False) -> type[TorchDistribution]:
    """The class of the distributions over actions of a space; `required_input_dim(space)` says how many logits it takes.

    Args:
        space: Discrete gives a categorical distribution, MultiDiscrete and MultiBinary several, Box a Gaussian, Dict and Tuple one of the
            parts'.
        squashed: a Box gets a Gaussian squashed between -1 and 1 (of normalised actions), in place of an unbounded one.

    Raises:
        TypeError: there is none for this space.

    Example:
        >>> import gymnasium as gym, torch
        >>> space = gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,))])
        >>> kind = distribution_class_for(space)
        >>> kind.required_input_dim(space)
        7
        >>> [part.shape for part in kind.from_logits(torch.zeros(5, 7)).sample()]
        [torch.Size([5]), torch.Size([5, 2])]
    """
    if isinstance(space, gym.spaces.Discrete):
        return TorchCategorical
    if isinstance(space, gym.spaces.MultiDiscrete):
        return _several([int(n) for n in space.nvec.flat], space)
    if isinstance(space, gym.spaces.MultiBinary):
        return _several([2] * int(space.n if isinstance(space.n, int) else gym.spaces.flatdim(space)), space)
    if isinstance(space, gym.spaces.Box):
        kind: type[TorchDistribution] = TorchSquashedGaussian if squashed else TorchDiagGaussian
        return kind if len(space.shape) == 1 else kind.get_partial_dist_cls(shape=space.shape)
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        parts = get_base_struct_from_space(space)
        kinds = map_structure(lambda part: distribution_class_for(part, squashed=squashed), parts)
        sizes = map_structure(lambda kind, part: kind.required_input_dim(part), kinds, parts)
        return TorchMultiDistribution.get_partial_dist_cls(
            child_distribution_cls_struct=kinds, input_lens=leaves(sizes)
        )
    raise TypeError(
        f"action_space is {space!r}, and there is no distribution for it; use Box, Discrete, MultiBinary, "
        "MultiDiscrete, or a Dict or Tuple of these, or set action_dist_cls of your module"
    )


def _several(sizes: list[int], space: gym.Space[Any]) -> type[TorchDistribution]:
    shape = space.shape if space.shape is not None and len(space.shape) != 1 else None
    return TorchMultiCategorical.get_partial_dist_cls(input_lens=sizes, shape=shape)
