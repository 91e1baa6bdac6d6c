"""What a search's decisions ask for, and what it is told: plain data between `SearchState` and who carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class Assigned(NamedTuple):
    """A trial, and what it goes on from."""

    trial: Trial
    checkpoint: Checkpoint | None
    next_checkpoint: int
    iteration: int
    time_total: float


@dataclass(frozen=True, slots=True)
class RunTrial:
    """An executor without work begins a trial. Answer: `reported`, `failed` or `executor_lost`."""

    executor: int
    assigned: Assigned


@dataclass(frozen=True, slots=True)
class HoldTrial:
    """An executor begins this trial by itself if the one that it runs has ended well when it is heard of next. Answer: after AwaitHeld."""

    executor: int
    assigned: Assigned
    ticket: int
    """Tells it from others that were held before."""


@dataclass(frozen=True, slots=True)
class AwaitHeld:
    """An executor has begun the trial that it held. Answer: as for RunTrial."""

    executor: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """An executor gives back the trial that it holds, unless it has begun it. Answer: `given_back`."""

    executor: int
    ticket: int


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


Effect = (
    StartExecutor
    | EndExecutor
    | RunTrial
    | HoldTrial
    | AwaitHeld
    | TakeBack
    | GoOn
    | EndTrial
    | AskWhere
    | WarnOfSilence
    | DeleteCheckpoint
    | Notify
)
