"""Observations of any form as rows of numbers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.connectors.env_to_module.row_preprocessor import RowPreprocessor
from shoal.rllib.env.utils.infinite_lookback_buffer import one_hot
from shoal.rllib.utils.error import UnsupportedSpaceException


class FlattenObservations(RowPreprocessor):
    """Flattens observations to one axis: discrete values one-hot, parts of Dict and Tuple spaces one after the other.

    Args:
        multi_agent: whether spaces are by agent.
        agent_ids: whose observations are flattened; None for all.
        as_learner_connector: accepted for RLlib's sake: episodes already have flat observations.
        keys_to_remove: parts of a Dict space that are left out.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> config = PPOConfig().environment("FrozenLake-v1").env_runners(
        ...     env_to_module_connector=lambda env, spaces, device: FlattenObservations()
        ... )
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        agent_ids: Any = None,
        as_learner_connector: bool = False,
        keys_to_remove: Any = None,
        **kwargs: Any,
    ) -> None:
        self._keys_to_remove = frozenset(keys_to_remove or ())
        self._as_learner_connector = as_learner_connector
        super().__init__(
            input_observation_space, input_action_space, multi_agent=multi_agent, agent_ids=agent_ids, **kwargs
        )

    def space_of(self, space: gym.Space[Any]) -> gym.Space[Any]:
        bounds = list(self._bounds(space))
        if not bounds:
            raise UnsupportedSpaceException(f"nothing is left of {space} without {sorted(self._keys_to_remove)}")
        low, high = (np.concatenate([pair[i] for pair in bounds]) for i in (0, 1))
        return gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def _bounds(self, space: gym.Space[Any]) -> Any:
        if isinstance(space, gym.spaces.Dict):
            for key, part in space.spaces.items():
                if key not in self._keys_to_remove:
                    yield from self._bounds(part)
        elif isinstance(space, gym.spaces.Tuple):
            for part in space.spaces:
                yield from self._bounds(part)
        elif isinstance(space, gym.spaces.Box):
            yield space.low.reshape(-1), space.high.reshape(-1)
        elif isinstance(space, gym.spaces.Discrete):
            yield np.zeros(int(space.n)), np.ones(int(space.n))
        elif isinstance(space, gym.spaces.MultiDiscrete):
            size = int(space.nvec.sum())
            yield np.zeros(size), np.ones(size)
        elif isinstance(space, gym.spaces.MultiBinary):
            size = int(np.prod(space.shape))
            yield np.zeros(size), np.ones(size)
        else:
            raise UnsupportedSpaceException(
                f"observations of {space} cannot be flattened; use a connector of your own before"
            )

    def rows(self, observations: Any, agent_id: Any = None) -> Any:
        parts = list(self._flat(observations, self.space_before(agent_id)))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _flat(self, values: Any, space: gym.Space[Any]) -> Any:
        if isinstance(space, gym.spaces.Dict):
            for key, part in space.spaces.items():
                if key not in self._keys_to_remove:
                    yield from self._flat(values[key], part)
        elif isinstance(space, gym.spaces.Tuple):
            for value, part in zip(values, space.spaces, strict=True):
                yield from self._flat(value, part)
        else:
            encoded = np.asarray(one_hot(values, space))
            yield encoded.reshape(len(encoded), -1).astype(np.float32, copy=False)
