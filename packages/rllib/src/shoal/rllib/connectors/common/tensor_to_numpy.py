"""From tensors to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib.connectors.connector_v2 import ConnectorV2


class TensorToNumpy(ConnectorV2):
    """Makes arrays of tensors."""

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
        from shoal.rllib._internal.sampling.fused_acting import to_array

        return map_leaves(to_array, batch)  # type: ignore[no-any-return]
