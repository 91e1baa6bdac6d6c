"""Several observations as one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.connectors.common.either_side import EitherSide
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from shoal.rllib.utils.error import ConfigError, UnsupportedSpaceException


class FrameStacking(EitherSide):
    """Has modules see the latest observations together, along the last axis; zeros stand for those before an episode's start.

    Runners, episodes and replay buffers keep single observations: use FrameStackingEnvToModule and FrameStackingLearner together, with the
    same number. Chunks of episodes take along as much of what came before as is needed.

    Args:
        num_frames: how many; an observation of shape (..., 1) becomes one of (..., num_frames), one of shape (n,) one of (n * num_frames,).
        multi_agent: whether the spaces are by agent.
        as_learner_connector: whether it works for a learner: the episodes that it is given have stacked observations from then on.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        num_frames: int = 1,
        multi_agent: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(num_frames, int) or num_frames < 1:
            raise ValueError(f"num_frames={num_frames!r}: give a number >= 1")
        self.num_frames = num_frames
        self.lookback = num_frames - 1
        self._multi_agent = multi_agent
        super().__init__(input_observation_space, input_action_space, **kwargs)

    def recompute_output_observation_space(
        self, input_observation_space: Any, input_action_space: Any
    ) -> gym.Space[Any]:
        if self._as_learner_connector:  # a learner's pipeline is told what its module sees: stacked ones
            found: gym.Space[Any] = input_observation_space
            return found
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
        if self._as_learner_connector:
            self._stack_in(episodes)
            return batch
        for episode in self.single_agent_episode_iterator(episodes):
            last = len(episode)
            frames = episode.get_observations(
                slice(last - self.num_frames + 1, last + 1), neg_index_as_lookback=True, fill=0.0
            )
            self.add_batch_item(
                batch, Columns.OBS, np.concatenate([np.asarray(frame) for frame in frames], -1), episode
            )
        return batch

    def _stack_in(self, episodes: Any) -> None:
        """Puts episodes with stacked observations in the places of those that are given, which stay as they are."""
        for i, episode in enumerate(episodes):
            changed = copy.copy(episode)
            by_agent = getattr(episode, "agent_episodes", None)
            if by_agent is None:
                self._stack(changed)
            else:
                changed.agent_episodes = {agent: copy.copy(one) for agent, one in by_agent.items()}
                for one in changed.agent_episodes.values():
                    self._stack(one)
            episodes[i] = changed

    def _stack(self, episode: Any) -> None:
        known = episode.observations.lookback
        alone = (
            episode.multi_agent_episode_id is None
        )  # where agents act in turns, what is known depends on whose turns there were
        if alone and known < min(self.lookback, episode.t_started):
            raise ConfigError(
                f"an episode's part that starts with its step {episode.t_started} knows {known} observations from before it, and "
                f"num_frames={self.num_frames} needs {self.lookback}: give env_runners(env_to_module_connector=...) a "
                f"FrameStackingEnvToModule(num_frames={self.num_frames}), or set episode_lookback_horizon={self.lookback}"
            )
        count = len(episode) + 1
        series = np.asarray(
            episode.get_observations(slice(-self.lookback, count), neg_index_as_lookback=True, fill=0.0)
        )
        stacked = np.concatenate([series[i : i + count] for i in range(self.num_frames)], -1)
        episode.observations = InfiniteLookbackBuffer(stacked)
