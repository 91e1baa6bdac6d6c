"""Errors of shoal.tune."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class TuneError(ShoalError):
    """Base of all errors of shoal.tune."""


class InvalidArgumentError(TuneError, ValueError):
    """An argument has a value that it cannot have. The text names the argument, the value and the fix."""


class MetricNotReportedError(TuneError, ValueError):
    """A trial reported without the metric that the search goes by. The text names close matches."""


class InvalidReportError(TuneError, TypeError):
    """A trial reported, or returned, something that is no dict of metrics."""


class TrialError(TuneError):
    """A trial raised, or its process died; `__cause__` says what."""


class TrialHungError(TuneError, TimeoutError):
    """A trial has not reported for longer than `TuneConfig(max_report_interval_s=...)` allows. The text shows where it is, as far as its
    process could say."""


class ConfigNotPicklableError(InvalidArgumentError):
    """A trial's configuration cannot travel to its process. `__cause__` says what in it cannot."""


class CheckpointStorageError(TuneError, OSError):
    """A trial's checkpoint could not be stored, as on a full disk. `__cause__` says why."""


class InfeasibleTrialError(InvalidArgumentError):
    """A trial needs more than all machines have together."""


class SearchStalledError(TuneError, RuntimeError):
    """Nothing runs, and neither the scheduler nor the searcher lets anything begin."""


class RestoreError(TuneError, ValueError):
    """A search cannot go on from what was stored: there is nothing, it was another search, or its space has changed."""


class NoBestResultError(TuneError, RuntimeError):
    """No trial has a value of the metric that the best is asked for by. The text says why, and names close matches."""
