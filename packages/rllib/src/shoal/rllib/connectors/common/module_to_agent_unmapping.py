"""From modules to the agents for whom they act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class ModuleToAgentUnmapping(ConnectorV2):
    """Turns a batch by module and column into one by column and agent. Undoes AgentToModuleMapping."""

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
        places = (shared_data or {}).get("memorized_map_structure") or {}
        by_column: dict[str, Any] = {}
        for module_id, columns in batch.items():
            for column, items in columns.items():
                for key, item in zip(places[module_id], items, strict=True):
                    by_column.setdefault(column, {}).setdefault(key, []).append(item)
        return by_column
