"""Advantages by a module's value function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib._internal.learning.episode_batch import batch_of, by_module
from shoal.rllib._internal.learning.state_values import values_of
from shoal.rllib._internal.numerics.gae import generalized_advantages
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI


class GeneralAdvantageEstimation(ConnectorV2):
    """Adds the columns `advantages` and `value_targets`, for modules with a value function and without a memory.

    Args:
        gamma: what a reward a step later is worth.
        lambda_: 0 for one-step estimates, 1 for whole returns.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        gamma: float,
        lambda_: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_observation_space, input_action_space)
        self.gamma, self.lambda_ = gamma, lambda_

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        import torch

        for module_id, own in by_module(episodes).items():
            module: Any = rl_module[module_id].unwrapped()
            if module.is_stateful() or not isinstance(module, ValueFunctionAPI):
                continue
            whole = batch_of(own, extras=())
            with torch.no_grad():
                values = values_of(module, {Columns.OBS: whole.observations})
            advantages, targets = generalized_advantages(
                rewards=whole.columns[Columns.REWARDS],
                values=values[whole.step_rows],
                bootstrap_values=values[whole.last_rows] * ~whole.terminated,
                lengths=whole.lengths,
                gamma=self.gamma,
                lambda_=self.lambda_,
            )
            at = 0
            for episode in own:
                rows = slice(at, at + len(episode))
                self.add_n_batch_items(batch, Columns.ADVANTAGES, advantages[rows].numpy(), len(episode), episode)
                self.add_n_batch_items(batch, Columns.VALUE_TARGETS, targets[rows].numpy(), len(episode), episode)
                at += len(episode)
        return batch
