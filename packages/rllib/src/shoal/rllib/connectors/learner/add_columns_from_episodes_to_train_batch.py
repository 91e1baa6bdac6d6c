"""All that episodes have, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class AddColumnsFromEpisodesToTrainBatch(ConnectorV2):
    """Adds observations, actions, rewards, ends and modules' outputs of each step; columns that are there already stay as they are.

    A learner has these columns anyway; as a piece it lets later pieces read and change them.
    """

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        there = set(batch)
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            steps = len(episode)
            last = [False] * (steps - 1)
            columns: dict[str, Any] = {
                Columns.OBS: episode.get_observations(slice(0, steps)),
                Columns.ACTIONS: episode.get_actions(),
                Columns.REWARDS: episode.get_rewards(),
                Columns.TERMINATEDS: [*last, episode.is_terminated],
                Columns.TRUNCATEDS: [*last, episode.is_truncated],
                **{name: episode.get_extra_model_outputs(name) for name in episode.extra_model_outputs},
            }
            for name, values in columns.items():
                if name not in there:
                    self.add_n_batch_items(batch, name, values, steps, episode)
        return batch
