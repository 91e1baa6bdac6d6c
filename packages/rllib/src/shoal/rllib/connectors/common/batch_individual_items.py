"""From items to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.nested import stack
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core import DEFAULT_MODULE_ID


class BatchIndividualItems(ConnectorV2):
    """Stacks all items of a column along a new first axis: in the order of the episodes.

    Args:
        multi_agent: whether the batch is by module.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self._multi_agent = multi_agent

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
        if self._multi_agent:
            return {
                module_id: {name: _stacked(items) for name, items in columns.items()}
                for module_id, columns in batch.items()
            }
        made = {name: _stacked(items) for name, items in batch.items()}
        return {DEFAULT_MODULE_ID: made} if hasattr(rl_module, "keys") and DEFAULT_MODULE_ID not in batch else made


def _stacked(items: Any) -> Any:
    if isinstance(items, dict) and all(isinstance(key, tuple) for key in items):
        return stack([item for of_one in items.values() for item in of_one])
    return stack(items) if isinstance(items, list) else items
