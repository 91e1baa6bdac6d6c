"""What a learner learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shoal.rllib.utils.error import ConfigError


@dataclass
class TrainingData:
    """One of: batches, episodes, references to either, or iterators of batches.

    Args:
        batch: columns by module.
        batch_refs: references to batches.
        episodes: episodes.
        episodes_refs: references to lists of episodes.
        data_iterators: an iterator of batches for each learner.
    """

    batch: Any = None
    batch_refs: Any = None
    episodes: Any = None
    episodes_refs: Any = None
    data_iterators: Any = None

    def validate(self) -> None:
        """Raises ConfigError where none, or more than one, is given."""
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            raise ConfigError(f"training data has {given or 'nothing'}; give one of {', '.join(vars(self))}")

    def solve_refs(self) -> None:
        """Fetches what references stand for."""
        import shoal

        if self.episodes_refs is not None:
            self.episodes = [episode for episodes in shoal.get(list(self.episodes_refs)) for episode in episodes]
            self.episodes_refs = None
        if self.batch_refs is not None:
            self.batch = shoal.get(list(self.batch_refs))[0]
            self.batch_refs = None
