"""From agents to the modules that act for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class AgentToModuleMapping(ConnectorV2):
    """Turns a batch by column and agent into one by module and column. What is whose is remembered for the way back.

    Args:
        rl_module_specs: the modules, by id.
        agent_to_module_mapping_fn: which module acts for an agent.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        rl_module_specs: Any = None,
        agent_to_module_mapping_fn: Any = None,
        **kwargs: Any,
    ) -> None:
        self.rl_module_specs = rl_module_specs
        self.agent_to_module_mapping_fn = agent_to_module_mapping_fn
        super().__init__(input_observation_space, input_action_space, **kwargs)

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
        by_module: dict[str, Any] = {}
        places: dict[str, list[tuple[Any, ...]]] = {}
        for column, by_key in batch.items():
            if not isinstance(by_key, dict):
                continue
            for key, items in by_key.items():
                if len(key) == 1:  # single-agent: there is one module
                    continue
                by_module.setdefault(key[2], {}).setdefault(column, []).extend(items)
                known = places.setdefault(key[2], [])
                if key not in known:
                    known.append(key)
        if shared_data is not None:
            shared_data["memorized_map_structure"] = places
        return by_module or batch
