"""Trials, and searches as data."""

from shoal.tune.experiment.trial import Trial

__all__ = ["Trial"]
