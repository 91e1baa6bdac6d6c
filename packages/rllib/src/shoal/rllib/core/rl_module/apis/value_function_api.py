"""Modules that know values of states."""

from __future__ import annotations

import abc
from typing import Any


class ValueFunctionAPI(abc.ABC):
    """A module with a value function."""

    @abc.abstractmethod
    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        """Returns the value of each state, shape (B,) or (B, T).

        Args:
            batch: has `obs` (and `state_in`, where the module has a memory).
            embeddings: what `forward_train` returned as `embeddings` for the same batch, where it did.
        """
