"""Which ranks have been silent for too long, and which of them is to blame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WAITING = (
    "/torch/distributed/",
    "/torch/autograd/",
    "/xgboost/collective",
    "/xgboost/core",
    "/lightgbm/",
    "/train/_internal/process/meeting_point",
    "/train/_internal/process/dataset_",
)
"""Code in which a rank waits for others, or may."""


@dataclass
class ProgressWatch:
    """Knows when to look after silent ranks. Times in seconds, of one clock.

    Args:
        ranks: how many.
        now: the time.
        warn_after: silence after which the ranks' stacks are looked at; None for never.
        fail_after: silence that ends the attempt; None for never.
    """

    ranks: int
    now: float
    warn_after: float | None
    fail_after: float | None

    def __post_init__(self) -> None:
        self._heard = dict.fromkeys(range(self.ranks), self.now)
        self._looked: set[int] = set()
        """Silent ranks that were looked at since they were heard."""

    def heard(self, rank: int, now: float) -> None:
        """A rank reported."""
        if rank in self._heard:
            self._heard[rank] = now
            self._looked.discard(rank)

    def ended(self, rank: int) -> None:
        """A rank's loop is over."""
        self._heard.pop(rank, None)

    def deadline(self) -> float | None:
        """Returns when to ask `silent` or `lost` next; None for never."""
        times = []
        if self.fail_after is not None:
            times += [heard + self.fail_after for heard in self._heard.values()]
        if self.warn_after is not None:
            times += [heard + self.warn_after for rank, heard in self._heard.items() if rank not in self._looked]
        return min(times, default=None)

    def silent(self, now: float) -> list[int]:
        """Returns ranks that are silent for so long that they are looked at; each is named once."""
        if self.warn_after is None:
            return []
        found = [
            rank for rank, heard in self._heard.items() if now - heard >= self.warn_after and rank not in self._looked
        ]
        self._looked.update(found)
        return found

    def lost(self, now: float) -> list[int]:
        """Returns ranks that are silent for longer than they may be."""
        if self.fail_after is None:
            return []
        return [rank for rank, heard in self._heard.items() if now - heard >= self.fail_after]

    def silence(self, rank: int, now: float) -> float:
        """Returns for how long."""
        return now - self._heard.get(rank, now)


def waits(stack: str) -> bool:
    """Returns whether a rank with this Python stack waits for others, as far as can be told: its innermost frames are in a collective
    operation of some library."""
    frames = [line for line in stack.splitlines() if line.lstrip().startswith("File ")]
    return any(place in line for line in frames[-6:] for place in _WAITING)


def to_blame(silent: Iterable[int], stacks: Mapping[int, str]) -> list[int]:
    """Returns the silent ranks for which others wait: those that do not answer (they have no stack), and those that work while others wait.

    None where no rank waits: a long step is no hang.
    """
    ranks = sorted(silent)
    mute = [rank for rank in ranks if rank not in stacks]
    if mute:
        return mute
    if not any(waits(stacks[rank]) for rank in ranks):
        return []
    return [rank for rank in ranks if not waits(stacks[rank])]
