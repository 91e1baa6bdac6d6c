"""Without the time axis of one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib.connectors.common.add_states_from_episodes_to_batch import module_of
from shoal.rllib.connectors.connector_v2 import ConnectorV2, key_of
from shoal.rllib.core.columns import Columns


class RemoveSingleTsTimeRankFromBatch(ConnectorV2):
    """Takes away the time axis that AddTimeDimToBatchAndZeroPad added for stateful modules; states have none."""

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
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            if not module_of(rl_module, episode).is_stateful():
                continue
            key = key_of(episode)
            for column, by_key in batch.items():
                if column != Columns.STATE_OUT and key in by_key:
                    by_key[key] = [map_leaves(lambda leaf: leaf[0], item) for item in by_key[key]]
        return batch
