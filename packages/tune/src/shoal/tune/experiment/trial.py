"""One configuration, and what has come of it so far. Plain data: the search's loop changes it, everybody else reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shoal.train import Checkpoint

PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERROR"


@dataclass(eq=False)
class Trial:
    """One trial of a search.

    Args:
        trial_id: eight characters, which no other trial of the search has.
        number: its place among the search's trials, from 0.
        config: the parameters that it runs with, as the trainable gets them.
        trainable_name: of what runs.
        evaluated_params: what was drawn or suggested for it, flat ('a/b'): the part of `config` that differs between trials.
        experiment_tag: `number` and those parameters, as a short text.
        experiment_name: of the search.
        resources: of each bundle that it needs, by name.
    """

    trial_id: str
    number: int
    config: dict[str, Any]
    trainable_name: str = "trainable"
    evaluated_params: dict[str, Any] = field(default_factory=dict)
    experiment_tag: str = ""
    experiment_name: str = ""
    resources: tuple[dict[str, float], ...] = ({"CPU": 1.0},)
    status: str = PENDING
    last_result: dict[str, Any] = field(default_factory=dict)
    """The latest report, with what the search adds to each: training_iteration, time_total_s, trial_id, config, …"""
    metric_analysis: dict[str, dict[str, float]] = field(default_factory=dict)
    """For each number that was reported ('a/b' where nested): max, min, avg, last, last-5-avg, last-10-avg."""
    checkpoint: Checkpoint | None = None
    """The latest."""
    path: str = ""
    """The trial's folder in the storage."""
    local_path: str = ""
    """A folder on the driver's machine for what is written about it."""
    num_failures: int = 0
    error_file: str | None = None
    error: BaseException | None = None
    checkpoints: list[tuple[Checkpoint, dict[str, Any]]] = field(default_factory=list)
    """Those that are kept, oldest first, each with the report that it came with. The latest is among them."""
    start_time: float | None = None
    """When it began to run for the first time, in seconds since 1970."""
    why_stopped: str | None = None
    """What ended it before it ended by itself: 'scheduler', 'stopper', 'time budget', …"""

    custom_name: str | None = None
    """What TuneConfig(trial_name_creator=...) made."""

    @property
    def trial_name(self) -> str:
        """The trainable's name and the id, or what `trial_name_creator` made."""
        return self.custom_name or f"{self.trainable_name}_{self.trial_id}"

    def get_error(self) -> BaseException | None:
        """Returns what ended the trial, where it failed."""
        return self.error

    def is_finished(self) -> bool:
        """Whether it is over, well or not."""
        return self.status in (TERMINATED, ERROR)

    def __str__(self) -> str:
        return self.trial_name

    def __hash__(self) -> int:
        return hash(self.trial_id)
