"""Episodes as one batch: each column put together once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from shoal.rllib._internal.nested import concatenate, is_nested, map_leaves
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError


def to_tensor(tree: Any, device: Any = None) -> Any:
    """Makes tensors of arrays. Doubles become floats; read-only arrays are copied."""
    if is_nested(tree):
        return map_leaves(lambda leaf: to_tensor(leaf, device), tree)
    if isinstance(tree, torch.Tensor):
        tensor = tree
    else:
        array = np.asarray(tree)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor if device is None or device.type == "cpu" else tensor.to(device)


@dataclass
class EpisodeBatch:
    """Steps of several episodes of one module, one after the other.

    Attributes:
        columns: by name, tensors (or trees of them) with a row for each step.
        lengths: steps of each episode (or chunk of one).
        terminated: whether each has ended by itself, so that nothing comes after.
        observations: with the one after each episode's last step: B + E rows.
        episodes: what it was made of.
    """

    columns: dict[str, Any]
    lengths: torch.Tensor
    terminated: torch.Tensor
    observations: Any
    episodes: Sequence[Any] = field(repr=False, default=())

    @property
    def step_rows(self) -> torch.Tensor:
        """The rows of `observations` that are steps' own: all but the last of each episode."""
        kept = torch.ones(int(self.lengths.sum()) + len(self.lengths), dtype=torch.bool)
        kept[self.last_rows] = False
        return kept.nonzero().squeeze(1)

    @property
    def last_rows(self) -> torch.Tensor:
        """The rows of `observations` after each episode's last step."""
        return torch.cumsum(self.lengths + 1, 0) - 1


def by_module(episodes: Iterable[Any]) -> dict[str, list[Any]]:
    """Returns single agents' episodes by the module that they went by."""
    found: dict[str, list[Any]] = {}
    for episode in episodes:
        agents = getattr(episode, "agent_episodes", None)
        for one in [episode] if agents is None else agents.values():
            if len(one):
                found.setdefault(one.module_id or DEFAULT_MODULE_ID, []).append(one)
    return found


def batch_of(
    episodes: Sequence[Any], device: Any = None, *, extras: Sequence[str] | None = None, infos: bool = False
) -> EpisodeBatch:
    """Puts episodes together.

    Args:
        episodes: of single agents, and of one module; none of them empty.
        device: where the tensors go.
        extras: names of modules' outputs that are wanted; None for all that there are.
        infos: whether the steps' infos are wanted, too.

    Raises:
        ConfigError: an output that is wanted was not recorded.
    """
    lengths = np.fromiter((len(episode) for episode in episodes), np.int64, len(episodes))
    recorded = episodes[0].extra_model_outputs
    for name in extras or ():
        if name not in recorded:
            raise ConfigError(
                f"the episodes have no {name!r}, which the loss needs; the module's forward_exploration returned {sorted(recorded)}"
            )
    observations = to_tensor(concatenate([episode.get_observations() for episode in episodes]), device)
    columns: dict[str, Any] = {
        Columns.ACTIONS: to_tensor(concatenate([episode.get_actions() for episode in episodes]), device),
        Columns.REWARDS: to_tensor(
            np.concatenate([np.asarray(episode.get_rewards(), np.float32) for episode in episodes]), device
        ),
    }
    for name in recorded if extras is None else extras:
        columns[name] = to_tensor(concatenate([episode.get_extra_model_outputs(name) for episode in episodes]), device)
    if infos:
        columns[Columns.INFOS] = [info for episode in episodes for info in episode.get_infos()[1:]]
    batch = EpisodeBatch(
        columns=columns,
        lengths=torch.from_numpy(lengths),
        terminated=torch.tensor([bool(episode.is_terminated) for episode in episodes]),
        observations=observations,
        episodes=episodes,
    )
    columns[Columns.OBS] = take_rows(observations, batch.step_rows)
    return batch


def take_rows(tree: Any, index: torch.Tensor) -> Any:
    """Returns rows of a tensor, or of a tree of them."""
    if is_nested(tree):
        return map_leaves(lambda leaf: leaf[index], tree)
    return tree[index]


def same_columns(batches: Mapping[str, Any]) -> list[str]:
    """Returns the names that all of them have."""
    names = [set(batch) for batch in batches.values()]
    return sorted(set.intersection(*names)) if names else []
