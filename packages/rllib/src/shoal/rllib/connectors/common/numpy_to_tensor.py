"""From arrays to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib.connectors.connector_v2 import ConnectorV2


class NumpyToTensor(ConnectorV2):
    """Makes tensors of arrays: of float64 those of float32.

    Args:
        device: where they are; None: the processor's memory.
    """

    def __init__(
        self, input_observation_space: Any = None, input_action_space: Any = None, *, device: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self._device = device

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
        from shoal.rllib._internal.sampling.fused_acting import to_tensor

        def made(leaf: Any) -> Any:
            if not hasattr(leaf, "dtype") or leaf.dtype == object:
                return leaf
            tensor = to_tensor(leaf) if hasattr(leaf, "flags") else leaf
            return tensor if self._device is None else tensor.to(self._device)

        return map_leaves(made, batch)  # type: ignore[no-any-return]
