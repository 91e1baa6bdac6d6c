"""What a search's decisions ask for, and what it is told: plain data between `SearchState` and who carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shoal.train import Checkpoint
from shoal.tune._internal.logic.slots import Bundles
from shoal.tune.experiment.trial import Trial


@dataclass(frozen=True, slots=True)
class StartExecutor:
    """A new process, for trials of a shape. Answer: `executor_ready` or `executor_lost`."""

    executor: int
    bundles: Bundles


@dataclass(frozen=True, slots=True)
class EndExecutor:
    """The process is not needed any more. There is no answer."""

    executor: int


@dataclass(frozen=True, slots=True)
class RunTrial:
    """An executor without work begins a trial. Answer: `reported`, `failed` or `executor_lost`."""

    executor: int
    trial: Trial
    checkpoint: Checkpoint | None
    next_checkpoint: int
    iteration: int
    time_total: float


@dataclass(frozen=True, slots=True)
class GoOn:
    """The trial continues. Answer: as for RunTrial."""

    executor: int
    save: bool = False
    """With a checkpoint first, where it can make one by itself."""


@dataclass(frozen=True, slots=True)
class EndTrial:
    """The trial ends at the report that it has made. Answer: a Frame with `ended`, or as for RunTrial."""

    executor: int
    save: bool = False


@dataclass(frozen=True, slots=True)
class AskWhere:
    """Where is a trial that says nothing? Answer: `told_where`, beside the one that is owed for the trial; or none."""

    executor: int


@dataclass(frozen=True, slots=True)
class WarnOfSilence:
    """The user is told that a trial says nothing."""

    trial: Trial
    seconds: float


@dataclass(frozen=True, slots=True)
class DeleteCheckpoint:
    """Nobody needs a checkpoint any more."""

    checkpoint: Checkpoint


STARTED, RESTORED, RESULTS, SAVED, COMPLETED, RECOVERED, FAILED, PAUSED_ = (
    "started",
    "restored",
    "results",
    "saved",
    "completed",
    "recovered",
    "failed",
    "paused",
)


@dataclass(frozen=True, slots=True)
class Notify:
    """Callbacks are told."""

    what: str
    trial: Trial
    results: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: Checkpoint | None = None


Effect = StartExecutor | EndExecutor | RunTrial | GoOn | EndTrial | AskWhere | WarnOfSilence | DeleteCheckpoint | Notify
