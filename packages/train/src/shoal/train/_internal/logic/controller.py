"""What a training run does next, as decisions: events come in, effects go out.

STARTING --group_started--> RUNNING --all ranks finished--> FINISHED
    ^                          |
    +---- restarts are left ---+--- a rank failed, none left --> FAILED
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STARTING, RUNNING, FINISHED, FAILED = "starting", "running", "finished", "failed"


@dataclass(frozen=True, slots=True)
class StartGroup:
    """Start so many workers. `attempt` counts from 0."""

    workers: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StopGroup:
    """End all workers, whatever they do."""


@dataclass(frozen=True, slots=True)
class Commit:
    """All ranks have made this report, and one of them or more had a checkpoint: it is whole.

    Args:
        number: of the checkpoint in the run, from 0.
        report: its place among the reports of this attempt.
        metrics: rank 0's.
    """

    number: int
    report: int
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """The run is over; `failures` by rank, none where it went well."""

    failures: dict[int, BaseException] = field(default_factory=dict)
    mismatch: str = ""


Effect = StartGroup | StopGroup | Commit | End


class Controller:
    """Decides for one run.

    Args:
        workers: how many ranks (>= 1).
        max_failures: how often the group is started again; -1 for any number.
        checkpoints: how many the run has from before.
    """

    def __init__(self, workers: int, max_failures: int, checkpoints: int = 0) -> None:
        self.state = STARTING
        self.attempt = 0
        self.history: list[dict[str, Any]] = []
        """Rank 0's reports."""
        self.return_value: Any = None
        self._workers = workers
        self._failures_left = max_failures
        self._checkpoints = checkpoints
        self._begin_attempt()

    def _begin_attempt(self) -> None:
        self._reports = [0] * self._workers
        self._finished: dict[int, Any] = {}
        self._open: dict[int, bool] = {}
        """Reports that not all ranks have made, and whether one had a checkpoint."""
        self._metrics: dict[int, dict[str, Any]] = {}
        """Rank 0's, of reports that are open."""

    def begin(self) -> list[Effect]:
        """The first effects."""
        return [StartGroup(self._workers, self.attempt)]

    def group_started(self) -> list[Effect]:
        """All workers are there."""
        self.state = RUNNING
        return []

    def reported(self, rank: int, metrics: Mapping[str, Any], has_checkpoint: bool) -> list[Effect]:
        """A rank made its next report."""
        if self.state not in (STARTING, RUNNING):
            return []
        number = self._reports[rank]
        self._reports[rank] += 1
        if rank == 0:
            self.history.append(dict(metrics))
            self._metrics[number] = dict(metrics)
        self._open[number] = self._open.get(number, False) or has_checkpoint
        return self._whole(number) or self._missing()

    def _whole(self, number: int) -> list[Effect]:
        if min(self._reports) <= number:
            return []
        metrics = self._metrics.pop(number, {})
        if not self._open.pop(number):
            return []
        self._checkpoints += 1
        return [Commit(self._checkpoints - 1, number, metrics)]

    def _missing(self) -> list[Effect]:
        """A checkpoint that waits for a rank which will make no more reports can never be whole."""
        for number, has_checkpoint in sorted(self._open.items()):
            silent = [rank for rank in self._finished if self._reports[rank] <= number]
            if has_checkpoint and silent:
                self.state = FAILED
                counts = ", ".join(f"rank {rank}: {count}" for rank, count in enumerate(self._reports))
                ranks = ", ".join(map(str, silent))
                text = (
                    f"Report {number + 1} has a checkpoint, and rank {ranks} ended without making it ({counts}). "
                    f"Every rank has to call report() as often as the others where one of them gives a checkpoint."
                )
                return [StopGroup(), End(mismatch=text)]
        return []

    def rank_finished(self, rank: int, value: Any) -> list[Effect]:
        """A rank's loop returned."""
        if self.state not in (STARTING, RUNNING):
            return []
        self._finished[rank] = value
        mismatch = self._missing()
        if mismatch or len(self._finished) < self._workers:
            return mismatch
        self.state = FINISHED
        self.return_value = self._finished[0]
        return [StopGroup(), End()]

    def failed(self, failures: Mapping[int, BaseException]) -> list[Effect]:
        """Ranks raised, died, or could not be started."""
        if self.state not in (STARTING, RUNNING):
            return []
        if self._failures_left == 0:
            self.state = FAILED
            return [StopGroup(), End(dict(failures))]
        self._failures_left -= self._failures_left > 0
        self.attempt += 1
        self.state = STARTING
        self._begin_attempt()
        return [StopGroup(), StartGroup(self._workers, self.attempt)]
