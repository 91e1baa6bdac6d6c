"""Where the ranks of one attempt meet, as often as they like: barriers, and values that one gives to all."""

from __future__ import annotations

import asyncio
from typing import Any

import shoal
from shoal.train._internal.process.environment import seconds
from shoal.train.exceptions import TrainingFailedError


class MeetingPoint:
    """One rank's way there. The ranks have to meet in the same order.

    Args:
        name: the same in all ranks, and in no other attempt.
        rank: whose.
        world_size: how many there are.
    """

    def __init__(self, name: str, rank: int, world_size: int) -> None:
        self._name = name
        self._rank = rank
        self._world_size = world_size
        self._place: Any = None
        self._round = 0

    def meet(self, what: str, value: Any) -> Any:
        """Waits for all ranks; returns what rank 0 brought.

        Args:
            what: name of the operation; the same in all ranks.
            value: rank 0's.

        Raises:
            TrainingFailedError: ranks met for different things, or some did not come within SHOAL_TRAIN_COLLECTIVE_TIMEOUT_S.
        """
        if self._world_size == 1:
            return value
        if self._place is None:
            # The first to come starts it; it goes with the last rank.
            actor = shoal.remote(num_cpus=0)(_Place)
            self._place = actor.options(name=self._name, get_if_exists=True).remote(self._world_size)
        number, self._round = self._round, self._round + 1
        limit = seconds("COLLECTIVE_TIMEOUT_S", None)
        return shoal.get(self._place.come.remote(number, self._rank, what, value if self._rank == 0 else None, limit))


class _Place:
    """The actor.

    Args:
        size: how many ranks there are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rounds: dict[int, _Round] = {}

    async def come(self, number: int, rank: int, what: str, value: Any, limit: float | None) -> Any:
        meeting = self._rounds.setdefault(number, _Round())
        meeting.came[rank] = what
        if rank == 0:
            meeting.value = value
        if len(meeting.came) == self._size:
            meeting.whole.set()
        try:
            async with asyncio.timeout(limit):
                await meeting.whole.wait()
        except TimeoutError:
            missing = ", ".join(str(other) for other in range(self._size) if other not in meeting.came)
            raise TrainingFailedError(
                f"rank {rank} waited {limit:g} s in {what} for rank {missing} (SHOAL_TRAIN_COLLECTIVE_TIMEOUT_S)"
            ) from None
        if len(set(meeting.came.values())) > 1:
            told = ", ".join(f"rank {other}: {name}" for other, name in sorted(meeting.came.items()))
            raise TrainingFailedError(f"ranks met for different things: {told}; call the same ones in the same order")
        meeting.left += 1
        if meeting.left == self._size:
            del self._rounds[number]
        return meeting.value


class _Round:
    def __init__(self) -> None:
        self.came: dict[int, str] = {}
        self.value: Any = None
        self.left = 0
        self.whole = asyncio.Event()
