"""Who is told what happens in a training run: callbacks of users, loggers, and the live progress."""

from __future__ import annotations

from typing import Any, Protocol

from shoal.train.checkpoint import Checkpoint
from shoal.train.result import Result


class RunObserver(Protocol):
    """Is told of one run, in its driver, on the run's loop: each method returns quickly.

    What a method raises is the run's failure: it ends, and `fit` raises it.
    """

    def started(self, attempt: int, world_size: int) -> None:
        """All workers are there. `attempt` counts from 0; `world_size` may differ from the last one's."""

    def reported(self, rank: int, metrics: dict[str, Any], has_checkpoint: bool) -> None:
        """A rank reported. Its checkpoint, where it has one, is not whole yet."""

    def committed(self, number: int, checkpoint: Checkpoint, metrics_by_rank: list[dict[str, Any]]) -> None:
        """A checkpoint is whole: all ranks have reported, and it is in the run's list. `number` counts from 0."""

    def failed(self, attempt: int, failures: dict[int, BaseException], restarting: bool) -> None:
        """Ranks failed, in this attempt; another one follows where `restarting`."""

    def ended(self, result: Result) -> None:
        """The run is over; `result.error` says how it failed, where it did. Nothing is told after this."""
