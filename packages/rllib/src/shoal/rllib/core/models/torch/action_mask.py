"""Actions that an observation says are not allowed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from torch import Tensor

_LEAST = -1e9


class ActionMask:
    """The part of observations that tells which of an environment's discrete actions are allowed: 1 for those, 0 for the others.

    Args:
        key: of the mask, in observations that are dictionaries.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    @classmethod
    def of(cls, space: Any, key: str | None) -> ActionMask | None:
        """Returns the mask of a space of observations; None where it has none under this key: derived modules may take it away before."""
        return cls(key) if key is not None and isinstance(space, gym.spaces.Dict) and key in space.spaces else None

    def without(self, space: Any) -> Any:
        """Returns a space of observations without the mask: nothing is learned from it."""
        rest = {name: part for name, part in space.spaces.items() if name != self.key}
        return gym.spaces.Dict(rest) if rest else space

    def allowed(self, observations: Any) -> Tensor:
        """Returns which actions are allowed; where none is (an episode is over), all are."""
        mask: Tensor = observations[self.key].bool()
        return mask | ~mask.any(-1, keepdim=True)

    def applied(self, values: Tensor, observations: Any) -> Tensor:
        """Returns logits, or values, with those of other actions far below all."""
        return values.masked_fill(~self.allowed(observations), _LEAST)
