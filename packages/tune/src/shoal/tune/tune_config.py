"""How a search goes: what it looks for, who suggests, who decides, how many trials."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.resume_config import ResumeConfig as ResumeConfig
from shoal.tune.schedulers.trial_scheduler import TrialScheduler
from shoal.tune.search.searcher import Searcher

MAX_REPORT_INTERVAL = "SHOAL_TUNE_MAX_REPORT_INTERVAL_S"


@dataclass(frozen=True)
class TuneConfig:
    """How a search goes.

    Args:
        mode: 'min' or 'max': what is good. A list where there are several metrics.
        metric: what trials are compared by; every report has to have it. 'a/b' for one inside of another.
        search_alg: a Searcher, or its name as in `tune.search.create_searcher`; None for grids and random draws.
        scheduler: a TrialScheduler, or its name as in `tune.schedulers.create_scheduler`; None to run all trials to their end.
        num_samples: how often the space is drawn from (>= 1), or all grids are gone through; -1 for until something else ends the search.
        max_concurrent_trials: trials at a time; None for as many as there is room for.
        time_budget_s: seconds, or a timedelta, after which all trials are ended; None for no such end. A restored search has what is left.
        reuse_actors: None: a process runs one trial after the other, each in a fresh object. True: objects of classes are used again,
            too, by `reset_config`. False: each trial has a process of its own.
        trial_name_creator: makes a trial's name of the trial.
        trial_dirname_creator: makes the name of a trial's folder of the trial.
        seed: of random draws, for searchers that have none of their own. The same seed gives the same trials, whatever the timing.
        max_report_interval_s: seconds, or a timedelta, that a running trial may go without a report, from its beginning on. Then it fails
            with TrialHungError, which shows where it hangs; its process is replaced, and `FailureConfig(max_failures=...)` applies. None:
            what SHOAL_TUNE_MAX_REPORT_INTERVAL_S says in the environment; else any time, with a warning after ten minutes.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> tune.TuneConfig(metric="loss", mode="min", num_samples=20).num_samples
        20
    """

    mode: str | Sequence[str] | None = None
    metric: str | Sequence[str] | None = None
    search_alg: Searcher | str | None = None
    scheduler: TrialScheduler | str | None = None
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    time_budget_s: float | dt.timedelta | None = None
    reuse_actors: bool | None = None
    trial_name_creator: Callable[[Trial], str] | None = None
    trial_dirname_creator: Callable[[Trial], str] | None = None
    seed: int | None = None
    max_report_interval_s: float | dt.timedelta | None = None

    def __post_init__(self) -> None:
        modes = [self.mode] if self.mode is None or isinstance(self.mode, str) else list(self.mode)
        for mode in modes:
            if mode not in (None, "min", "max"):
                raise InvalidArgumentError(f"mode is {self.mode!r}; give 'min' or 'max'")
        if self.search_alg is not None and not isinstance(self.search_alg, Searcher | str):
            raise InvalidArgumentError(
                f"search_alg is {self.search_alg!r}; give a Searcher (shoal.tune.search), or its name"
            )
        if self.scheduler is not None and not isinstance(self.scheduler, TrialScheduler | str):
            raise InvalidArgumentError(
                f"scheduler is {self.scheduler!r}; give a TrialScheduler (shoal.tune.schedulers), or its name"
            )
        if not _is_whole(self.num_samples) or (self.num_samples < 1 and self.num_samples != -1):
            raise InvalidArgumentError(
                f"num_samples is {self.num_samples!r}; give a whole number >= 1, or -1 for no end"
            )
        limit = self.max_concurrent_trials
        if limit is not None and (not _is_whole(limit) or limit < 0):
            raise InvalidArgumentError(f"max_concurrent_trials is {limit!r}; give a whole number >= 1, or None")
        seconds = self.time_budget_seconds
        if seconds is not None and not seconds > 0:
            raise InvalidArgumentError(f"time_budget_s is {self.time_budget_s!r}; give seconds > 0, or None for no end")
        seconds = _seconds("max_report_interval_s", self.max_report_interval_s)
        if seconds is not None and not seconds > 0:
            raise InvalidArgumentError(
                f"max_report_interval_s is {self.max_report_interval_s!r}; give seconds > 0, or None for any time"
            )

    @property
    def time_budget_seconds(self) -> float | None:
        """The time budget in seconds."""
        return _seconds("time_budget_s", self.time_budget_s)

    @property
    def max_report_interval_seconds(self) -> float | None:
        """The longest interval between reports in seconds, of the argument or the environment. Raises InvalidArgumentError."""
        if self.max_report_interval_s is not None:
            return _seconds("max_report_interval_s", self.max_report_interval_s)
        given = os.environ.get(MAX_REPORT_INTERVAL, "").strip()
        if not given:
            return None
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
        if not seconds > 0:
            raise InvalidArgumentError(f"{MAX_REPORT_INTERVAL} is {given!r} in the environment; give seconds > 0")
        return seconds


def _seconds(name: str, value: float | dt.timedelta | None) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    raise InvalidArgumentError(f"{name} is {value!r}; give seconds, or a timedelta")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
