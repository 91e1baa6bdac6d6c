"""Which checkpoints are kept."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.train._internal.logic.metric_lookup import looked_up
from shoal.train.configuration import CheckpointConfig


@dataclass(frozen=True)
class Kept:
    """A checkpoint of a run. `number` counts from 0."""

    number: int
    metrics: dict[str, Any]


def to_delete(kept: Sequence[Kept], config: CheckpointConfig, needed: Collection[int] = ()) -> list[Kept]:
    """Returns those that go: all but the best (or latest) `num_to_keep`, and never the latest.

    Args:
        kept: those that are there.
        config: which are kept.
        needed: numbers of those that must not go yet.
    """
    if config.num_to_keep is None or not kept:
        return []
    latest = max(kept, key=lambda one: one.number)
    ranked = sorted(kept, key=lambda one: (_score(one, config), one.number), reverse=True)
    return [one for one in ranked[config.num_to_keep :] if one is not latest and one.number not in needed]


def _score(one: Kept, config: CheckpointConfig) -> float:
    """Higher is better; a checkpoint without the metric, or with NaN, is the worst."""
    name = config.checkpoint_score_attribute
    if name is None:
        return 0.0
    value = looked_up(one.metrics, name)
    if not isinstance(value, int | float) or math.isnan(value):
        return -math.inf
    return float(value) if config.checkpoint_score_order == "max" else -float(value)
