"""What environments told besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class AddInfosFromEpisodesToTrainBatch(ConnectorV2):
    """Adds the column `infos`, for later pieces: the info that came with each step's observation. Losses do not get it."""

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            infos = list(episode.get_infos(slice(0, len(episode))))
            self.add_n_batch_items(batch, Columns.INFOS, infos, len(episode), episode)
        return batch
