"""Errors of shoal.tune."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class TuneError(ShoalError):
    """Base of all errors of shoal.tune."""


class InvalidArgumentError(TuneError, ValueError):
    """An argument has a value that it cannot have. The text names the argument, the value and the fix."""


class MetricNotReportedError(TuneError, ValueError):
    """A trial reported without the metric that the search goes by. The text names close matches."""


class TrialError(TuneError):
    """A trial raised, or its process died; `__cause__` says what."""
