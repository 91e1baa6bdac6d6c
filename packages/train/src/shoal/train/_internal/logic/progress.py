"""Which ranks have been silent for too long, and which of them is to blame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python", "/shoal/", "<frozen ")
"""Code that is not the user's."""


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
        self._next_look: dict[int, float] = {}
        """Silent ranks that were looked at since they were heard, and when they are again: after twice the silence."""
        self._patience: dict[int, float] = {}
        """Lost ranks that wait for others: when they are given up nevertheless."""

    def heard(self, rank: int, now: float) -> None:
        """A rank reported."""
        if rank in self._heard:
            self._heard[rank] = now
            self._next_look.pop(rank, None)
            self._patience.pop(rank, None)

    def ended(self, rank: int) -> None:
        """A rank's loop is over."""
        self._heard.pop(rank, None)

    def deadline(self) -> float | None:
        """Returns when to ask `silent` or `lost` next; None for never."""
        times = []
        if self.fail_after is not None:
            times += [self._patience.get(rank, heard + self.fail_after) for rank, heard in self._heard.items()]
        if self.warn_after is not None:
            times += [self._next_look.get(rank, heard + self.warn_after) for rank, heard in self._heard.items()]
        return min(times, default=None)

    def silent(self, now: float) -> list[int]:
        """Returns all ranks that are silent for so long that they are looked at, where one of them is due."""
        if self.warn_after is None:
            return []
        found = [rank for rank, heard in self._heard.items() if now - heard >= self.warn_after]
        due = [rank for rank in found if self._next_look.get(rank, 0.0) <= now]
        self._next_look |= {rank: 2 * now - self._heard[rank] for rank in due}
        return found if due else []

    def lost(self, now: float) -> list[int]:
        """Returns all ranks that are silent for longer than they may be, where one of them is due."""
        if self.fail_after is None:
            return []
        found = [rank for rank, heard in self._heard.items() if now - heard >= self.fail_after]
        return found if any(self._patience.get(rank, 0.0) <= now for rank in found) else []

    def given_up(self, lost: Sequence[int], stacks: Mapping[int, str], now: float) -> list[int]:
        """Returns which of the lost ranks are to blame.

        None where all of them wait for another one that is not lost yet; they are lost for good after as long again.
        """
        blamed = to_blame(lost, stacks)
        if blamed:
            return blamed
        patient = [rank for rank in lost if rank not in self._patience and waits(stacks[rank])]
        if len(patient) < len(lost) or len(lost) == len(self._heard):
            return list(lost)
        assert self.fail_after is not None
        self._patience.update(dict.fromkeys(patient, now + self.fail_after))
        return []

    def silence(self, rank: int, now: float) -> float:
        """Returns for how long."""
        return now - self._heard.get(rank, now)


def waits(stack: str) -> bool:
    """Returns whether a rank with this Python stack waits for others, as far as can be told: what its own code called last is a collective
    operation of some library."""
    for line in reversed(stack.splitlines()):
        if not line.lstrip().startswith("File "):
            continue
        if any(place in line for place in _WAITING):
            return True
        if not any(place in line for place in _LIBRARIES):
            return False
    return False


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
