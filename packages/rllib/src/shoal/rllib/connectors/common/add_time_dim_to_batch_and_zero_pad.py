"""A time axis for stateful modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.nested import is_nested, map_leaves, stack
from shoal.rllib.connectors.common.add_states_from_episodes_to_batch import module_of, sequence_length
from shoal.rllib.connectors.common.either_side import EitherSide
from shoal.rllib.connectors.connector_v2 import key_of
from shoal.rllib.core.columns import Columns


class AddTimeDimToBatchAndZeroPad(EitherSide):
    """Gives items of stateful modules a time axis: of length 1, or, for learners, of `max_seq_len`, with zeros after an episode's end and
    LOSS_MASK telling what is real.

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
        for episode in self.single_agent_episode_iterator(episodes, not self._as_learner_connector):
            module = module_of(rl_module, episode)
            if not module.is_stateful():
                continue
            key = key_of(episode)
            for column, by_key in list(batch.items()):
                if (
                    column in (Columns.STATE_IN, Columns.NEXT_STATE_IN)
                    or not isinstance(by_key, dict)
                    or key not in by_key
                ):
                    continue
                if not self._as_learner_connector:
                    by_key[key] = [map_leaves(lambda leaf: np.asarray(leaf)[None], item) for item in by_key[key]]
                else:
                    by_key[key] = in_sequences(by_key[key], sequence_length(module))
            if self._as_learner_connector:
                length = sequence_length(module)
                mask = np.ones(len(episode), bool)
                for item in in_sequences(list(mask), length):
                    self.add_batch_item(batch, Columns.LOSS_MASK, item, episode)
                for start in range(0, len(episode), length):
                    self.add_batch_item(batch, Columns.SEQ_LENS, min(length, len(episode) - start), episode)
        return batch


def in_sequences(items: list[Any], length: int) -> list[Any]:
    """Returns items as sequences of one length, the last one padded with zeros: trees of arrays with a time axis."""
    sequences = []
    for start in range(0, len(items), length):
        part = stack(items[start : start + length])

        def padded(leaf: Any) -> Any:
            missing = length - len(leaf)
            return leaf if not missing else np.concatenate([leaf, np.zeros((missing, *leaf.shape[1:]), leaf.dtype)])

        sequences.append(map_leaves(padded, part) if is_nested(part) else padded(part))
    return sequences
