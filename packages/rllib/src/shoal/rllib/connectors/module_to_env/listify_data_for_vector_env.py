"""A list with an item for each environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class ListifyDataForVectorEnv(ConnectorV2):
    """Makes lists of columns, in the order of the episodes: of items, or in multi-agent episodes of dictionaries by agent."""

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: Sequence[Any],
        explore: bool | None = None,
        shared_data: dict[str, Any] | None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        listed: dict[str, Any] = {}
        for column, by_key in batch.items():
            if all(len(key) == 1 for key in by_key):
                listed[column] = [by_key[(episode.id_,)][0] for episode in episodes]
                continue
            by_episode: dict[str, dict[Any, Any]] = {episode.id_: {} for episode in episodes}
            for (episode_id, agent_id, _), items in by_key.items():
                by_episode[episode_id][agent_id] = items[0]
            listed[column] = list(by_episode.values())
        return listed
