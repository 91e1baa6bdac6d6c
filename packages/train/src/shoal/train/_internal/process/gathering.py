"""What each rank tells all others before its loop begins: addresses and ports that are known only where they were found.

The ranks meet in an actor of a name that they all can make up; the first to come starts it, and it goes when the last has heard. So nobody
has to be there before the others, and nobody asks twice.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import shoal
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Meeting
from shoal.train.exceptions import TrainingFailedError

GATHER_SECONDS = 120.0
"""How long ranks that have come wait for those that have not. Dead ranks end the whole group sooner."""


def gather(rank: Rank, meeting: Meeting, value: Any, seconds: float = GATHER_SECONDS) -> list[Any]:
    """Returns what each rank brought, by rank; called once by each.

    Args:
        rank: who calls.
        meeting: the same in all ranks, and in no other group of workers.
        value: what this rank brings; small.
        seconds: to wait for the others.

    Raises:
        TrainingFailedError: some rank did not come in time; the text names it.
    """
    name = f"shoal-train-{meeting.address}:{meeting.port}"
    place = shoal.remote(num_cpus=0)(_Gathering).options(name=name, get_if_exists=True).remote(rank.world_size)
    brought: list[Any] = shoal.get(place.bring.remote(rank.world_rank, value, seconds))
    return brought


def own_address(meeting: Meeting) -> str:
    """Returns the address by which the other ranks reach this machine: the loopback where they are all on it."""
    is_one_machine = ip_address(meeting.address).is_loopback
    return meeting.address if is_one_machine else shoal.util.get_node_ip_address()


class _Gathering:
    """The actor.

    Args:
        size: how many ranks there are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._brought: dict[int, Any] = {}
        self._whole = asyncio.Event()

    async def bring(self, rank: int, value: Any, seconds: float) -> list[Any]:
        """Returns what all have brought, when they have."""
        self._brought[rank] = value
        if len(self._brought) == self._size:
            self._whole.set()
        try:
            async with asyncio.timeout(seconds):
                await self._whole.wait()
        except TimeoutError:
            missing = ", ".join(str(other) for other in range(self._size) if other not in self._brought)
            raise TrainingFailedError(
                f"rank {rank} waited {seconds:g} s for the others before the training loop, and these did not come: {missing}"
            ) from None
        return [self._brought[other] for other in range(self._size)]
