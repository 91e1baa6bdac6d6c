"""Which checkpoints of trials are kept: as CheckpointConfig says, and those that a trial will start from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.train import Checkpoint, CheckpointConfig
from shoal.tune._internal.logic.metrics import flat_result


@dataclass(eq=False)
class Stored:
    """A checkpoint, and where its trial was then."""

    number: int
    checkpoint: Checkpoint
    result: dict[str, Any]
    iteration: int
    time_total: float


@dataclass
class Kept:
    """One trial's."""

    stored: list[Stored] = field(default_factory=list)
    """Its own, oldest first."""
    latest: Stored | None = None
    """What it would go on from; another trial's after it was told to exploit that."""


class CheckpointBook:
    """Those of all trials.

    Args:
        config: how many of each trial are kept.
    """

    def __init__(self, config: CheckpointConfig) -> None:
        self._config = config
        self._users: dict[Stored, int] = {}
        self._doomed: set[Stored] = set()

    def add(self, kept: Kept, stored: Stored) -> list[Checkpoint]:
        """A trial has stored one. Returns those that go."""
        kept.stored.append(stored)
        gone = self.start_from(kept, stored)
        for one in self._surplus(kept.stored):
            kept.stored.remove(one)
            if self._users.get(one):
                self._doomed.add(one)
            else:
                gone.append(one.checkpoint)
        return gone

    def start_from(self, kept: Kept, stored: Stored | None) -> list[Checkpoint]:
        """A trial would go on from this one now. Returns those that go."""
        before, kept.latest = kept.latest, stored
        if stored is not None:
            self._users[stored] = self._users.get(stored, 0) + 1
        return [] if before is None else self.release(before)

    def hold(self, stored: Stored) -> None:
        """Keeps one until `release`."""
        self._users[stored] = self._users.get(stored, 0) + 1

    def release(self, stored: Stored) -> list[Checkpoint]:
        """Ends `hold`. Returns those that go."""
        self._users[stored] -= 1
        if self._users[stored] == 0:
            del self._users[stored]
            if stored in self._doomed:
                self._doomed.discard(stored)
                return [stored.checkpoint]
        return []

    def _surplus(self, stored: list[Stored]) -> list[Stored]:
        if self._config.num_to_keep is None or len(stored) <= self._config.num_to_keep:
            return []
        ranked = sorted(stored, key=lambda one: (self._score(one.result), one.number), reverse=True)
        return [one for one in ranked[self._config.num_to_keep :] if one is not stored[-1]]

    def _score(self, result: Mapping[str, Any]) -> float:
        """Higher is better; a checkpoint without the metric, or with NaN, is the worst."""
        name = self._config.checkpoint_score_attribute
        if name is None:
            return 0.0
        value = flat_result(dict(result)).get(name)
        if not isinstance(value, int | float) or math.isnan(value):
            return -math.inf
        return float(value) if self._config.checkpoint_score_order == "max" else -float(value)
