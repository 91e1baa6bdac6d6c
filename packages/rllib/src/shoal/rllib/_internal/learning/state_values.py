"""What a module thinks that states are worth."""

from __future__ import annotations

from typing import Any

import torch

from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError


def values_of(module: Any, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
    """Returns the values of a batch's states, shape (B,), or (B, T) where the batch has states of a memory.

    Raises:
        ConfigError: (a ValueError) the module's values have another shape. With a target of shape (B,), those of shape (B, 1) would
            become (B, B), and the loss that of all pairs.
    """
    values: torch.Tensor = module.compute_values(batch, embeddings=embeddings)
    axes = 2 if Columns.STATE_IN in batch else 1
    if values.dim() != axes:
        hint = "; add .squeeze(-1)" if values.dim() == axes + 1 and values.shape[-1] == 1 else ""
        raise ConfigError(
            f"{type(module).__name__}.compute_values() returned the shape {tuple(values.shape)}; return a value for each "
            f"state, shape {'(B, T)' if axes == 2 else '(B,)'}{hint}"
        )
    return values
