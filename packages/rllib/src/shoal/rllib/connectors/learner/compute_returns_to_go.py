"""What came after each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.numerics.gae import returns_to_go
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class ComputeReturnsToGo(ConnectorV2):
    """Adds the column `returns_to_go`: the discounted rewards from each step to the end of what there is of its episode.

    Args:
        gamma: what a reward a step later is worth.
    """

    def __init__(
        self, input_observation_space: Any = None, input_action_space: Any = None, *, gamma: float, **kwargs: Any
    ) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self.gamma = gamma

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            returns = returns_to_go(
                rewards=np.asarray(episode.get_rewards(), np.float32),
                bootstrap_values=np.zeros(1, np.float32),
                lengths=np.array([len(episode)]),
                gamma=self.gamma,
            )
            self.add_n_batch_items(batch, Columns.RETURNS_TO_GO, returns, len(episode), episode)
        return batch
