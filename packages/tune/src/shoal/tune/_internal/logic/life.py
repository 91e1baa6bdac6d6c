"""What the search knows of a trial beside what everybody may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.tune._internal.logic.checkpoints import Kept, Stored
from shoal.tune._internal.logic.metrics import MetricAnalysis
from shoal.tune._internal.logic.slots import Bundles, Executor
from shoal.tune.experiment.trial import Trial

COMPLETE, PAUSE, CHANGE, FAIL, INTERRUPT = "COMPLETE", "PAUSE", "CHANGE", "FAIL", "INTERRUPT"
"""What becomes of a trial that was told to end, when it has."""


@dataclass
class Change:
    """With what a trial goes on."""

    start_from: Stored | None = None
    config: dict[str, Any] | None = None
    tag: str = ""
    bundles: Bundles | None = None


@dataclass(eq=False)
class Life:
    """One trial's."""

    trial: Trial
    analysis: MetricAnalysis
    kept: Kept = field(default_factory=Kept)
    executor: Executor | None = None
    held_by: Executor | None = None
    """Which begins it by itself when the trial that it runs has ended."""
    runs_alone: bool = False
    """It is given to executors without work only."""
    frames: int = 0
    """How often its process was heard of in this run."""
    began: float = 0.0
    ending: str | None = None
    why: str | None = None
    error: BaseException | None = None
    change: Change | None = None
    save_next: bool = False
    iteration: int = 0
    time_total: float = 0.0
    iterations_since_restore: int = 0
    time_since_restore: float = 0.0
    next_checkpoint: int = 0
    tag: str = ""
    """Its tag without what exploits added."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What all results of this run have alike: host, process, configuration."""

    def end(self, ending: str, why: str | None = None) -> None:
        """It shall end at its next report."""
        self.ending, self.why = ending, why

    def rewind(self) -> None:
        """It will go on from its latest checkpoint; from the beginning where there is none."""
        latest = self.kept.latest
        self.iteration = latest.iteration if latest is not None else 0
        self.time_total = latest.time_total if latest is not None else 0.0
        self.iterations_since_restore, self.time_since_restore = 0, 0.0


def bundles_of(resources: Sequence[Any]) -> Bundles:
    """Returns resources by bundle, without what is zero."""
    return tuple({name: float(amount) for name, amount in bundle.items() if amount} for bundle in resources)
