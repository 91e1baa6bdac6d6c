"""What was observed after each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class AddNextObservationsFromEpisodesToTrainBatch(ConnectorV2):
    """Adds the column `new_obs`: the observation after each step."""

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            after = episode.get_observations(slice(1, len(episode) + 1))
            self.add_n_batch_items(batch, Columns.NEXT_OBS, after, len(episode), episode)
        return batch
