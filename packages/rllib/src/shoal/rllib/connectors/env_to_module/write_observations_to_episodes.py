"""Observations, from the batch back into episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class WriteObservationsToEpisodes(ConnectorV2):
    """Replaces episodes' latest observations by the batch's, so that learners see what the module saw."""

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
        observations = batch.get(Columns.OBS)
        if observations is None:
            raise ValueError("the batch has no observations: put AddObservationsFromEpisodesToBatch before")
        for episode, observation in self.single_agent_episode_iterator(episodes, zip_with_batch_column=observations):
            space = self.observation_space
            if episode.agent_id is not None and hasattr(space, "spaces") and episode.agent_id in space.spaces:  # type: ignore[union-attr]
                space = space.spaces[episode.agent_id]  # type: ignore[union-attr]
            episode.observation_space = space
            episode.set_observations(new_data=observation, at_indices=-1)
        return batch
