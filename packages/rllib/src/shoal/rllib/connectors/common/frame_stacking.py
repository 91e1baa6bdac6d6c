"""Several observations as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.connectors.connector_v2 import ConnectorV2, key_of
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import UnsupportedSpaceException


class FrameStacking(ConnectorV2):
    """Has modules see the latest observations together, along the last axis; zeros stand for those before an episode's start.

    Episodes keep single observations: use FrameStackingEnvToModule and FrameStackingLearner together. The runner has to keep enough
    of the past: set `episode_lookback_horizon` to `num_frames`, at least.

    Args:
        num_frames: how many; an observation of shape (..., 1) becomes one of (..., num_frames), one of shape (n,) one of (n * num_frames,).
        multi_agent: whether the spaces are by agent.
        as_learner_connector: whether it works for a learner.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        num_frames: int = 1,
        multi_agent: bool = False,
        as_learner_connector: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(num_frames, int) or num_frames < 1:
            raise ValueError(f"num_frames={num_frames!r}: give a number >= 1")
        self.num_frames = num_frames
        self._multi_agent = multi_agent
        self._as_learner_connector = as_learner_connector
        super().__init__(input_observation_space, input_action_space, **kwargs)

    def recompute_output_observation_space(
        self, input_observation_space: Any, input_action_space: Any
    ) -> gym.Space[Any]:
        if self._multi_agent and isinstance(input_observation_space, gym.spaces.Dict):
            return gym.spaces.Dict(
                {agent: self._stacked(space) for agent, space in input_observation_space.spaces.items()}
            )
        return self._stacked(input_observation_space)

    def _stacked(self, space: gym.Space[Any]) -> gym.Space[Any]:
        if not isinstance(space, gym.spaces.Box) or not space.shape:
            raise UnsupportedSpaceException(
                f"{space} has no last axis along which observations are stacked; give a Box with one"
            )
        low, high = (
            np.concatenate([space.low] * self.num_frames, -1),
            np.concatenate([space.high] * self.num_frames, -1),
        )
        return gym.spaces.Box(low, high, dtype=space.dtype.type)

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
        k = self.num_frames
        for episode in self.single_agent_episode_iterator(episodes, not self._as_learner_connector):
            if not self._as_learner_connector:
                last = len(episode)
                frames = episode.get_observations(slice(last - k + 1, last + 1), neg_index_as_lookback=True, fill=0.0)
                self.add_batch_item(
                    batch, Columns.OBS, np.concatenate([np.asarray(frame) for frame in frames], -1), episode
                )
                continue
            frames = episode.get_observations(slice(1 - k, len(episode)), neg_index_as_lookback=True, fill=0.0)
            series = np.asarray(frames)
            stacked = np.concatenate([series[i : i + len(episode)] for i in range(k)], -1)
            self.add_n_batch_items(batch, Columns.OBS, stacked, len(episode), episode)
            if Columns.NEXT_OBS in batch:
                later = episode.get_observations(slice(2 - k, len(episode) + 1), neg_index_as_lookback=True, fill=0.0)
                series = np.asarray(later)
                batch[Columns.NEXT_OBS].pop(key_of(episode), None)
                stacked = np.concatenate([series[i : i + len(episode)] for i in range(k)], -1)
                self.add_n_batch_items(batch, Columns.NEXT_OBS, stacked, len(episode), episode)
        return batch
