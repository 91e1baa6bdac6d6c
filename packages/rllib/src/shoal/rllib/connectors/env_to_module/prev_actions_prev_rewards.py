"""Latest actions and rewards as a part of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.env.utils.infinite_lookback_buffer import one_hot
from shoal.rllib.utils.error import UnsupportedSpaceException


class PrevActionsPrevRewards(ConnectorV2):
    """Makes observations a Dict of the observation itself, the latest actions (discrete ones one-hot) and the latest rewards.

    Zeros stand for what was before an episode's start. Put FlattenObservations after it for modules that want rows of numbers.

    Args:
        multi_agent: whether spaces are by agent.
        n_prev_actions: how many actions.
        n_prev_rewards: how many rewards.
    """

    ORIG_OBS_KEY = "_orig_obs"
    PREV_ACTIONS_KEY = "prev_n_actions"
    PREV_REWARDS_KEY = "prev_n_rewards"

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        n_prev_actions: int = 1,
        n_prev_rewards: int = 1,
        **kwargs: Any,
    ) -> None:
        self._multi_agent = multi_agent
        self.n_prev_actions = n_prev_actions
        self.n_prev_rewards = n_prev_rewards
        self.lookback = max(n_prev_actions, n_prev_rewards)
        super().__init__(input_observation_space, input_action_space, **kwargs)

    def recompute_output_observation_space(
        self, input_observation_space: Any, input_action_space: Any
    ) -> gym.Space[Any]:
        if input_action_space is None:
            found: gym.Space[Any] = input_observation_space
            return found
        if self._multi_agent and isinstance(input_observation_space, gym.spaces.Dict):
            return gym.spaces.Dict(
                {
                    agent: self._space_of(space, input_action_space.spaces[agent])
                    for agent, space in input_observation_space.spaces.items()
                }
            )
        return self._space_of(input_observation_space, input_action_space)

    def _space_of(self, observations: gym.Space[Any], actions: gym.Space[Any]) -> gym.Space[Any]:
        parts: dict[str, gym.Space[Any]] = {self.ORIG_OBS_KEY: observations}
        if self.n_prev_actions:
            size = len(_flat_action(actions.sample(), actions))
            parts[self.PREV_ACTIONS_KEY] = gym.spaces.Box(-np.inf, np.inf, (self.n_prev_actions * size,), np.float32)
        if self.n_prev_rewards:
            parts[self.PREV_REWARDS_KEY] = gym.spaces.Box(-np.inf, np.inf, (self.n_prev_rewards,), np.float32)
        return gym.spaces.Dict(parts)

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
        for episode in self.single_agent_episode_iterator(episodes):
            agent = episode.agent_id
            multi = self._multi_agent and agent is not None
            actions = self.input_action_space.spaces[agent] if multi else self.input_action_space  # type: ignore[union-attr]
            assert actions is not None
            parts: dict[str, Any] = {self.ORIG_OBS_KEY: episode.get_observations(-1)}
            last = len(episode)
            if self.n_prev_actions:
                size = len(_flat_action(actions.sample(), actions)) if last + episode.actions.lookback == 0 else 0
                flat: list[Any] = []
                for i in range(last - self.n_prev_actions, last):
                    if i + episode.actions.lookback < 0:
                        flat.append(None)
                    else:
                        flat.append(_flat_action(episode.get_actions(i, neg_index_as_lookback=True), actions))
                size = next((len(action) for action in flat if action is not None), size)
                zeros = np.zeros(size, np.float32)
                parts[self.PREV_ACTIONS_KEY] = np.concatenate([zeros if action is None else action for action in flat])
            if self.n_prev_rewards:
                rewards = episode.get_rewards(
                    slice(last - self.n_prev_rewards, last), neg_index_as_lookback=True, fill=0.0
                )
                parts[self.PREV_REWARDS_KEY] = np.asarray(rewards, np.float32)
            after = self.observation_space
            episode.observation_space = after.spaces[agent] if multi else after  # type: ignore[union-attr]
            episode.set_observations(new_data=parts, at_indices=-1)
        return batch


def _flat_action(action: Any, space: gym.Space[Any]) -> Any:
    """Returns an action as a row of numbers."""
    if isinstance(space, gym.spaces.Dict):
        return np.concatenate([_flat_action(action[key], part) for key, part in space.spaces.items()])
    if isinstance(space, gym.spaces.Tuple):
        return np.concatenate([_flat_action(value, part) for value, part in zip(action, space.spaces, strict=True)])
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.Box | gym.spaces.MultiBinary):
        return np.asarray(one_hot(action, space), np.float32).reshape(-1)
    raise UnsupportedSpaceException(f"actions of {space} cannot be a part of observations")
