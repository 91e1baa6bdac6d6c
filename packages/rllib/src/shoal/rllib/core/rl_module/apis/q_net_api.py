"""Modules that know values of actions."""

from __future__ import annotations

import abc
from typing import Any


class QNetAPI(abc.ABC):
    """A module with a Q function of discrete actions."""

    @abc.abstractmethod
    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns `qf_preds`: a value for each action, shape (B, n)."""

    def compute_advantage_distribution(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns advantages as distributions over their atoms, where the module has them."""
        raise NotImplementedError(f"{type(self).__name__} has no distributions of advantages")
