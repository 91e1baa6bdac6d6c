"""Observations, from episodes into the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.common.either_side import EitherSide
from shoal.rllib.core.columns import Columns


class AddObservationsFromEpisodesToBatch(EitherSide):
    """Adds each episode's latest observation, or, for learners, all but the last one. Does nothing if the batch has observations.

    Args:
        as_learner_connector: whether it works for a learner.
    """

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
        if Columns.OBS in batch:
            return batch
        for episode in self.single_agent_episode_iterator(episodes, not self._as_learner_connector):
            if self._as_learner_connector:
                items = episode.get_observations(slice(0, len(episode)))
                self.add_n_batch_items(batch, Columns.OBS, items, len(episode), episode)
            else:
                self.add_batch_item(batch, Columns.OBS, episode.get_observations(-1), episode)
        return batch
