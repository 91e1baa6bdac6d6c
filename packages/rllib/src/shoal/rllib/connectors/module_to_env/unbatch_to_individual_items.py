"""From arrays to items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.nested import unstack
from shoal.rllib.connectors.connector_v2 import ConnectorV2, key_of


class UnBatchToIndividualItems(ConnectorV2):
    """Undoes BatchIndividualItems: rows become items, each under its episode's key (or in the order of the module's agents)."""

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
        if hasattr(rl_module, "keys"):
            return {
                module_id: {name: unstack(values) for name, values in columns.items()}
                for module_id, columns in batch.items()
            }
        made: dict[str, Any] = {}
        for name, values in batch.items():
            items = unstack(values)
            made[name] = {key_of(episode): [item] for episode, item in zip(episodes, items, strict=True)}
        return made
