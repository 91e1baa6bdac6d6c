"""Hyperparameter search at the cost of a function call. Ray Tune's API."""

from shoal.tune._internal.version import __version__ as __version__
from shoal.tune.experiment.trial import Trial

__all__ = ["Trial"]
