"""States of stateful modules, from episodes into the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib.connectors.common.either_side import EitherSide
from shoal.rllib.core.columns import Columns


class AddStatesFromEpisodesToBatch(EitherSide):
    """Adds the state that a stateful module gave last as what it takes next; at an episode's start its initial state.

    For learners, one state for each sequence of `max_seq_len` steps.

    Args:
        as_learner_connector: whether it works for a learner.
    """

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
        if Columns.STATE_IN in batch:
            return batch
        for episode in self.single_agent_episode_iterator(episodes, not self._as_learner_connector):
            module = module_of(rl_module, episode)
            if not module.is_stateful():
                continue
            if self._as_learner_connector:
                length = sequence_length(module)
                starts = range(0, len(episode), length)
                states = [_state_before(episode, module, start) for start in starts]
                self.add_n_batch_items(batch, Columns.STATE_IN, states, len(states), episode)
            else:
                self.add_batch_item(batch, Columns.STATE_IN, _state_before(episode, module, len(episode)), episode)
        return batch


def module_of(rl_module: Any, episode: Any) -> Any:
    """Returns the module that acts in an episode."""
    module_id = episode.module_id
    if module_id is not None and module_id in rl_module:
        return rl_module[module_id]
    if episode.multi_agent_episode_id is None and hasattr(rl_module, "keys"):
        return next(iter(rl_module.values()))
    return rl_module


def sequence_length(module: Any) -> int:
    """Returns how many steps a stateful module is trained on at once."""
    given = getattr(module, "model_config", None)
    length = given.get("max_seq_len", 20) if isinstance(given, dict) else getattr(given, "max_seq_len", 20)
    return int(length)


def _state_before(episode: Any, module: Any, step: int) -> Any:
    outputs = episode.extra_model_outputs.get(Columns.STATE_OUT)
    position = step - 1 + (0 if outputs is None else outputs.lookback)
    if outputs is None or position < 0:
        return map_leaves(np.asarray, module.get_initial_state())
    if outputs.finalized:
        return map_leaves(lambda leaf: leaf[position], outputs.data)
    return outputs.data[position]
