"""What the ranks of a training loop do together, without any framework: for small data of Python."""

from __future__ import annotations

from typing import TypeVar

from shoal.train._internal.process.meeting_point import MeetingPoint
from shoal.train._internal.process.worker_session import SESSION

T = TypeVar("T")


def barrier() -> None:
    """Returns when all ranks have called it.

    Raises:
        TrainingFailedError: other ranks called something else, or did not come within SHOAL_TRAIN_COLLECTIVE_TIMEOUT_S seconds
            (not set: they are waited for).
        RuntimeError: outside of a training loop.
    """
    _meeting_point("collective.barrier").meet("barrier()", None)


def broadcast_from_rank_zero(data: T) -> T:
    """Returns what rank 0 gave, in all ranks.

    Args:
        data: rank 0's; small, since it travels in messages. That of other ranks is not looked at.

    Raises:
        TrainingFailedError: as `barrier`.
        RuntimeError: outside of a training loop.
    """
    found: T = _meeting_point("collective.broadcast_from_rank_zero").meet("broadcast_from_rank_zero()", data)
    return found


def _meeting_point(function: str) -> MeetingPoint:
    session = SESSION.running(function)
    found = getattr(session, "meeting_point", None)
    # A loop in the driver is alone.
    return found if found is not None else MeetingPoint("", 0, 1)


__all__ = ["barrier", "broadcast_from_rank_zero"]
