"""Actions, from what a module gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns


class GetActions(ConnectorV2):
    """Draws actions from the module's distribution (without exploring: takes the likeliest), unless the module gave actions itself.

    Args:
        generator: what actions are drawn from; None: torch's global one.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        generator: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self.generator = generator

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
            for module_id, columns in batch.items():
                self._act(columns, rl_module[module_id], explore)
        else:
            self._act(batch, rl_module, explore)
        return batch

    def _act(self, batch: dict[str, Any], module: Any, explore: bool | None) -> None:
        import torch

        if Columns.ACTIONS in batch or Columns.ACTION_DIST_INPUTS not in batch:
            return
        inputs = batch[Columns.ACTION_DIST_INPUTS]
        with torch.no_grad():
            if explore:
                distribution = module.get_exploration_action_dist_cls().from_logits(inputs)
                batch[Columns.ACTIONS] = actions = distribution.sample(generator=self.generator)
                if Columns.ACTION_LOGP not in batch:
                    batch[Columns.ACTION_LOGP] = distribution.logp(actions)
            else:
                distribution = module.get_inference_action_dist_cls().from_logits(inputs)
                batch[Columns.ACTIONS] = distribution.to_deterministic().sample()
                batch.setdefault(Columns.ACTION_LOGP, torch.zeros(inputs.shape[:-1]))
