"""Modules with networks that follow others slowly."""

from __future__ import annotations

import abc
from typing import Any

TARGET_NETWORK_ACTION_DIST_INPUTS = "target_network_action_dist_inputs"


class TargetNetworkAPI(abc.ABC):
    """A module with target networks."""

    @abc.abstractmethod
    def make_target_networks(self) -> None:
        """Makes them, as copies. The learner calls it once."""

    @abc.abstractmethod
    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        """Returns pairs of a network and its target."""

    @abc.abstractmethod
    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs by the target networks."""
