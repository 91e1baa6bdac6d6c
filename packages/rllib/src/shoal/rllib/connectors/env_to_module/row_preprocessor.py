"""Observations changed by functions of rows: of all environments at once, where nothing else needs their episodes."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib._internal.nested import map_leaves, stack
from shoal.rllib.connectors.connector_v2 import ConnectorV2


class RowPreprocessor(ConnectorV2, abc.ABC):
    """A piece that replaces latest observations by a function of the observation alone.

    Args:
        multi_agent: whether spaces are by agent.
        agent_ids: whose observations are changed; None for all.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        agent_ids: Any = None,
        **kwargs: Any,
    ) -> None:
        self._multi_agent = multi_agent
        self._agent_ids = agent_ids
        super().__init__(input_observation_space, input_action_space, **kwargs)

    @abc.abstractmethod
    def rows(self, observations: Any, agent_id: Any = None) -> Any:
        """Returns what stands for observations: trees of arrays with a first axis for the rows."""

    @abc.abstractmethod
    def space_of(self, space: gym.Space[Any]) -> gym.Space[Any]:
        """Returns the space of what stands for observations of a space."""

    def recompute_output_observation_space(
        self, input_observation_space: Any, input_action_space: Any
    ) -> gym.Space[Any]:
        if not (self._multi_agent and isinstance(input_observation_space, gym.spaces.Dict)):
            return self.space_of(input_observation_space)
        return gym.spaces.Dict(
            {
                agent: self.space_of(space) if self._concerns(agent) else space
                for agent, space in input_observation_space.spaces.items()
            }
        )

    def _concerns(self, agent_id: Any) -> bool:
        return self._agent_ids is None or agent_id in self._agent_ids

    def space_before(self, agent_id: Any) -> gym.Space[Any]:
        """Returns the space of an agent's observations as they come in."""
        space = self.input_observation_space
        if self._multi_agent and isinstance(space, gym.spaces.Dict):
            return space.spaces[agent_id]
        assert space is not None
        return space

    def space_after(self, agent_id: Any) -> gym.Space[Any]:
        """Returns the space of an agent's observations as they leave."""
        space = self.observation_space
        if self._multi_agent and isinstance(space, gym.spaces.Dict):
            return space.spaces[agent_id]
        assert space is not None
        return space

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
        by_agent: dict[Any, list[Any]] = {}
        for episode in self.single_agent_episode_iterator(episodes):
            if episode.agent_id is None or self._concerns(episode.agent_id):
                by_agent.setdefault(episode.agent_id, []).append(episode)
        for agent, several in by_agent.items():
            changed = self.rows(stack([episode.get_observations(-1) for episode in several]), agent)
            for row, episode in enumerate(several):
                episode.observation_space = self.space_after(agent)
                value = map_leaves(lambda leaf, row=row: leaf[row], changed)
                episode.set_observations(new_data=value, at_indices=-1)
        return batch
