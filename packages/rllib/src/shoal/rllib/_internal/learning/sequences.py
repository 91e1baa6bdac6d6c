"""Steps as sequences of bounded length, for modules with a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from shoal.rllib._internal.learning.episode_batch import EpisodeBatch, take_rows, to_tensor
from shoal.rllib._internal.nested import map_leaves, stack
from shoal.rllib.core.columns import Columns


@dataclass
class Sequences:
    """Which steps make up each sequence.

    Attributes:
        rows: (sequences, time) rows of flat columns; what is padded has row 0.
        mask: (sequences, time) where a step is.
        state_in: each sequence's state before its first step.
    """

    rows: torch.Tensor
    mask: torch.Tensor
    state_in: Any

    def pad(self, column: Any) -> Any:
        """Returns a flat column as (sequences, time, ...), zero where nothing is."""
        if isinstance(column, torch.Tensor):
            padded = column[self.rows]
            padded[~self.mask] = 0
            return padded
        return map_leaves(self.pad, column)

    def flatten(self, padded: torch.Tensor) -> torch.Tensor:
        """Returns (sequences, time, ...) as a flat column."""
        return padded[self.mask]


def sequences_of(batch: EpisodeBatch, initial_state: Any, longest: int) -> Sequences:
    """Cuts the steps of episodes into sequences.

    Args:
        batch: with a column `state_out`: the state after each step.
        initial_state: a tree of arrays: what an episode starts with.
        longest: steps of a sequence at most.
    """
    lengths = batch.lengths.numpy()
    firsts = np.cumsum(lengths) - lengths
    starts, counts, owners = [], [], []
    for owner, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
        offsets = np.arange(0, length, longest)
        starts.append(first + offsets)
        counts.append(np.minimum(longest, length - offsets))
        owners.append(np.full(len(offsets), owner))
    start, count, owner_of = (np.concatenate(parts) for parts in (starts, counts, owners))
    steps = np.arange(longest)
    mask = torch.from_numpy(steps[None, :] < count[:, None])
    rows = torch.from_numpy(start[:, None] + steps[None, :])
    rows[~mask] = 0
    is_first = torch.from_numpy(start == firsts[owner_of])
    before = to_tensor(stack([_state_before(episode, initial_state) for episode in batch.episodes]))
    chunk_state = take_rows(before, torch.from_numpy(owner_of))
    earlier = take_rows(batch.columns[Columns.STATE_OUT], torch.from_numpy(np.maximum(start - 1, 0)))

    def choose(first: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        where = is_first.reshape(-1, *[1] * (first.dim() - 1))
        return torch.where(where, first.to(later.dtype), later)

    return Sequences(rows=rows, mask=mask, state_in=map_leaves(choose, chunk_state, earlier))


def _state_before(episode: Any, initial_state: Any) -> Any:
    outputs = episode.extra_model_outputs.get(Columns.STATE_OUT)
    if episode.t_started > 0 and outputs is not None and outputs.lookback > 0:
        return episode.get_extra_model_outputs(Columns.STATE_OUT, -1, neg_index_as_lookback=True)
    return map_leaves(np.asarray, initial_state)
