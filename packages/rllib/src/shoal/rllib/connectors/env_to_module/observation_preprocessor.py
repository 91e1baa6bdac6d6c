"""Observations changed one by one."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class SingleAgentObservationPreprocessor(ConnectorV2, abc.ABC):
    """Replaces each latest observation by what preprocess() makes of it, in the episode too: learners see it as well.

    Override `preprocess`, and `recompute_output_observation_space` if the space changes.

    Example:
        >>> class Halve(SingleAgentObservationPreprocessor):
        ...     def preprocess(self, observation, episode):
        ...         return observation / 2
    """

    @abc.abstractmethod
    def preprocess(self, observation: Any, episode: Any) -> Any:
        """Returns what stands for an observation.

        Args:
            observation: as the environment (or the piece before) gave it.
            episode: it is the last one of this.
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
        for episode in self.single_agent_episode_iterator(episodes):
            changed = self.preprocess(episode.get_observations(-1), episode)
            episode.observation_space = self.observation_space
            episode.set_observations(new_data=changed, at_indices=-1)
        return batch


class MultiAgentObservationPreprocessor(ConnectorV2, abc.ABC):
    """Replaces the latest observations of all agents by what preprocess() makes of them together.

    Override `preprocess`, and `recompute_output_observation_space` (of a Dict by agent) if spaces change.
    """

    @abc.abstractmethod
    def preprocess(self, observations: dict[Any, Any], episode: Any) -> dict[Any, Any]:
        """Returns what stands for observations.

        Args:
            observations: of the agents that were observed in the last step.
            episode: a MultiAgentEpisode.
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
        for episode in episodes:
            agents = episode.get_agents_that_stepped()
            seen = {agent: episode.agent_episodes[agent].get_observations(-1) for agent in agents}
            if not seen:
                continue
            changed = self.preprocess(seen, episode)
            for agent, observation in changed.items():
                single = episode.agent_episodes[agent]
                if isinstance(self.observation_space, gym.spaces.Dict) and agent in self.observation_space.spaces:
                    single.observation_space = self.observation_space.spaces[agent]
                single.set_observations(new_data=observation, at_indices=-1)
        return batch
