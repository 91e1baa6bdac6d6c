"""What a training run does next, as decisions: events come in, effects go out.

    SCHEDULING --capacity--> STARTING --group_started--> RUNNING --all ranks finished--> FINISHED
        ^                       |                           |
        +--- no room for all ---+                           |
        |                       +------ a rank failed ------+------- none left --> FAILED
        +-- restarts are left --+                           |
        |                       +-- a checkpoint is whole --+
        +--- more workers fit --+

A run of a fixed size does not ask for its capacity: it goes to STARTING at once. Each event names its attempt; what an attempt says after
its end changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEDULING, STARTING, RUNNING, FINISHED, FAILED = "scheduling", "starting", "running", "finished", "failed"


@dataclass(frozen=True, slots=True)
class MeasureCapacity:
    """Find out how many workers fit, and say `capacity`."""


@dataclass(frozen=True, slots=True)
class StartGroup:
    """Start so many workers. `attempt` counts from 0."""

    workers: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StopGroup:
    """End all workers, whatever they do.

    Args:
        keep_place: as many follow at once: their resources stay reserved.
    """

    keep_place: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """All ranks have made this report, and one of them or more had a checkpoint: it is whole.

    Args:
        number: of the checkpoint in the run, from 0.
        report: its place among the reports of this attempt.
        metrics: of each rank.
        positions: of each rank: how far it had read its datasets.
    """

    number: int
    report: int
    metrics: list[dict[str, Any]]
    positions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class End:
    """The run is over; `failures` by rank, none where it went well; `cause` where it never began."""

    failures: dict[int, BaseException] = field(default_factory=dict)
    mismatch: str = ""
    cause: BaseException | None = None


Effect = MeasureCapacity | StartGroup | StopGroup | Commit | End


@dataclass(slots=True)
class _Open:
    """A report that not all ranks have made."""

    has_checkpoint: bool = False
    metrics: dict[int, dict[str, Any]] = field(default_factory=dict)
    positions: dict[int, dict[str, Any]] = field(default_factory=dict)


class Controller:
    """Decides for one run.

    Args:
        fewest: ranks that it goes on with (>= 1).
        most: ranks; more than `fewest` where their number is elastic.
        max_failures: how often the group is started again; -1 for any number.
        checkpoints: how many the run has from before.
    """

    def __init__(self, fewest: int, most: int, max_failures: int, checkpoints: int = 0) -> None:
        self.state = SCHEDULING
        self.attempt = 0
        self.restarts = 0
        """After failures."""
        self.resizes = 0
        self.history: list[dict[str, Any]] = []
        """Rank 0's reports."""
        self.return_value: Any = None
        self.workers = fewest
        """Ranks of this attempt."""
        self._fewest, self._most = fewest, most
        self._failures_left = max_failures
        self._checkpoints = checkpoints
        self._begin_attempt(fewest)

    def _begin_attempt(self, workers: int) -> None:
        self.workers = workers
        self.reports = [0] * workers
        """Of each rank, in this attempt."""
        self.finished: dict[int, Any] = {}
        """What ranks returned."""
        self._open: dict[int, _Open] = {}
        self._last_checkpoint = -1
        """The latest report that some rank gave a checkpoint with."""
        self._room = 0

    @property
    def is_over(self) -> bool:
        return self.state in (FINISHED, FAILED)

    # --- events -------------------------------------------------------------------------------------------------------

    def begin(self) -> list[Effect]:
        """The first effects."""
        return self._schedule()

    def capacity(self, workers: int) -> list[Effect]:
        """So many workers would fit now; answers MeasureCapacity."""
        if self.state != SCHEDULING:
            return []
        return self._start(max(self._fewest, min(workers, self._most)))

    def group_started(self, attempt: int) -> list[Effect]:
        """All workers are there."""
        if self.state == STARTING and attempt == self.attempt:
            self.state = RUNNING
        return []

    def no_room(self, attempt: int) -> list[Effect]:
        """The workers did not fit after all: others took the room since it was measured. Fewer are tried, where fewer are allowed."""
        if self.state != STARTING or attempt != self.attempt or self.workers == self._fewest:
            return []
        self.attempt += 1
        return [StopGroup(), *self._schedule()]

    def cannot_start(self, attempt: int, cause: BaseException) -> list[Effect]:
        """The workers cannot be placed, and starting them again would not help."""
        if self.state != STARTING or attempt != self.attempt:
            return []
        self.state = FAILED
        return [StopGroup(), End(cause=cause)]

    def reported(
        self,
        attempt: int,
        rank: int,
        metrics: Mapping[str, Any],
        has_checkpoint: bool,
        positions: Mapping[str, Any] | None = None,
    ) -> list[Effect]:
        """A rank made its next report."""
        if not self._is_current(attempt):
            return []
        number = self.reports[rank]
        self.reports[rank] += 1
        if rank == 0:
            self.history.append(dict(metrics))
        report = self._open.setdefault(number, _Open())
        report.metrics[rank] = dict(metrics)
        report.positions[rank] = dict(positions or {})
        if has_checkpoint:
            report.has_checkpoint = True
            self._last_checkpoint = max(self._last_checkpoint, number)
        if len(report.metrics) < self.workers:
            return self._mismatch()
        del self._open[number]
        return self._commit(number, report) if report.has_checkpoint else []

    def rank_finished(self, attempt: int, rank: int, value: Any) -> list[Effect]:
        """A rank's loop returned."""
        if not self._is_current(attempt):
            return []
        self.finished[rank] = value
        mismatch = self._mismatch()
        if mismatch or len(self.finished) < self.workers:
            return mismatch
        self.state = FINISHED
        self.return_value = self.finished[0]
        return [StopGroup(), End()]

    def failed(self, attempt: int, failures: Mapping[int, BaseException]) -> list[Effect]:
        """Ranks raised, died, hang, or died while they started."""
        if not self._is_current(attempt):
            return []
        if self._failures_left == 0:
            self.state = FAILED
            return [StopGroup(), End(dict(failures))]
        self._failures_left -= self._failures_left > 0
        self.restarts += 1
        self.attempt += 1
        return [StopGroup(keep_place=not self._is_elastic), *self._schedule()]

    def room(self, attempt: int, workers: int) -> list[Effect]:
        """So many workers in all would fit now. More of them begin when the next checkpoint is whole, so that no work is done twice."""
        if self._is_current(attempt):
            self._room = min(workers, self._most)
        return []

    # --- decisions ----------------------------------------------------------------------------------------------------

    @property
    def _is_elastic(self) -> bool:
        return self._fewest < self._most

    def _is_current(self, attempt: int) -> bool:
        return attempt == self.attempt and self.state in (STARTING, RUNNING)

    def _schedule(self) -> list[Effect]:
        if not self._is_elastic:
            return self._start(self._fewest)
        self.state = SCHEDULING
        return [MeasureCapacity()]

    def _start(self, workers: int) -> list[Effect]:
        self.state = STARTING
        self._begin_attempt(workers)
        return [StartGroup(workers, self.attempt)]

    def _commit(self, number: int, report: _Open) -> list[Effect]:
        ranks = range(self.workers)
        commit = Commit(
            self._checkpoints,
            number,
            [report.metrics[rank] for rank in ranks],
            [report.positions[rank] for rank in ranks],
        )
        self._checkpoints += 1
        # Ranks that have ended would begin once more for nothing.
        if self._room <= self.workers or self.finished:
            return [commit]
        self.resizes += 1
        self.attempt += 1
        return [commit, StopGroup(), *self._start(self._room)]

    def _mismatch(self) -> list[Effect]:
        """A checkpoint that waits for a rank which will make no more reports can never be whole."""
        silent = sorted(rank for rank in self.finished if self.reports[rank] <= self._last_checkpoint)
        if not silent:
            return []
        least = min(self.reports[rank] for rank in silent)
        number = next(number for number in sorted(self._open) if number >= least and self._open[number].has_checkpoint)
        silent = [rank for rank in silent if self.reports[rank] <= number]
        self.state = FAILED
        counts = ", ".join(f"rank {rank}: {count}" for rank, count in enumerate(self.reports))
        text = (
            f"Report {number + 1} has a checkpoint, and rank {', '.join(map(str, silent))} ended without making it ({counts}). "
            f"Every rank has to call report() as often as the others where one of them gives a checkpoint."
        )
        return [StopGroup(), End(mismatch=text)]
