"""Searches and their trials as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.tune.experiment.trial import Trial

if TYPE_CHECKING:
    from shoal.tune.experiment.experiment import Experiment as Experiment

__all__ = ["Experiment", "Trial"]


def __getattr__(name: str) -> Any:
    if name == "Experiment":
        from shoal.tune.experiment.experiment import Experiment

        return Experiment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
