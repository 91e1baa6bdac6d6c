"""Schedulers by name."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.schedulers.trial_scheduler import TrialScheduler

_PLACES = {
    "fifo": ("trial_scheduler", "FIFOScheduler"),
    "async_hyperband": ("async_hyperband", "AsyncHyperBandScheduler"),
    "asynchyperband": ("async_hyperband", "AsyncHyperBandScheduler"),
    "asha": ("async_hyperband", "ASHAScheduler"),
    "hyperband": ("hyperband", "HyperBandScheduler"),
    "hb_bohb": ("hb_bohb", "HyperBandForBOHB"),
    "median_stopping_rule": ("median_stopping_rule", "MedianStoppingRule"),
    "medianstopping": ("median_stopping_rule", "MedianStoppingRule"),
    "pbt": ("pbt", "PopulationBasedTraining"),
    "pbt_replay": ("pbt_replay", "PopulationBasedTrainingReplay"),
    "pb2": ("pb2", "PB2"),
    "resource_changing": ("resource_changing_scheduler", "ResourceChangingScheduler"),
}


def create_scheduler(scheduler: str, **kwargs: Any) -> TrialScheduler:
    """Returns the scheduler of a name.

    Args:
        scheduler: fifo, async_hyperband (asynchyperband, asha), hyperband, hb_bohb, median_stopping_rule (medianstopping), pbt, pbt_replay,
            pb2 or resource_changing.
        kwargs: its arguments.

    Raises:
        InvalidArgumentError: there is none of the name, or an argument cannot be.

    Example:
        >>> from shoal.tune.schedulers import create_scheduler
        >>> type(create_scheduler("asha", metric="loss", mode="min")).__name__
        'AsyncHyperBandScheduler'
    """
    place = _PLACES.get(scheduler.lower()) if isinstance(scheduler, str) else None
    if place is None:
        close = difflib.get_close_matches(str(scheduler), _PLACES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InvalidArgumentError(f"scheduler is {scheduler!r}; {hint}give one of {', '.join(_PLACES)}")
    made: TrialScheduler = getattr(importlib.import_module(f"shoal.tune.schedulers.{place[0]}"), place[1])(**kwargs)
    return made
