"""Actions as environments take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib._internal.sampling.action_scaling import Scaling, scaling_for
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class NormalizeAndClipActions(ConnectorV2):
    """Stretches Box actions from [-1, 1] to their space's bounds, or cuts them there. Episodes keep what the module gave.

    Args:
        multi_agent: whether spaces are by agent.
        normalize_actions: whether actions are stretched.
        clip_actions: whether they are cut, where they are not stretched.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        normalize_actions: bool = True,
        clip_actions: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self._multi_agent = multi_agent
        self._normalize_actions = normalize_actions
        self._clip_actions = clip_actions
        self._scalings: dict[Any, Scaling | None] = {}

    def _scaling(self, agent_id: Any) -> Scaling | None:
        if agent_id not in self._scalings:
            space = self.input_action_space
            if self._multi_agent and isinstance(space, gym.spaces.Dict):
                space = space.spaces[agent_id]
            assert space is not None
            self._scalings[agent_id] = scaling_for(space, normalize=self._normalize_actions, clip=self._clip_actions)
        return self._scalings[agent_id]

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
        if Columns.ACTIONS not in batch or Columns.ACTIONS_FOR_ENV in batch:
            return batch
        for_env: dict[Any, list[Any]] = {}
        for key, items in batch[Columns.ACTIONS].items():
            scaling = self._scaling(key[1] if len(key) == 3 else None)
            for_env[key] = items if scaling is None else [scaling(map_leaves(np.asarray, item)) for item in items]
        batch[Columns.ACTIONS_FOR_ENV] = for_env
        return batch
