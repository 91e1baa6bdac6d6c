"""The trials of one search, as decisions: which starts next, what a result means, when all is done."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.tune.exceptions import MetricNotReportedError

RUNNING, TERMINATED, ERROR = "RUNNING", "TERMINATED", "ERROR"

Stop = Callable[[str, Mapping[str, Any]], bool]


@dataclass
class Trial:
    """One configuration, and what came of it."""

    trial_id: str
    number: int
    config: dict[str, Any]
    status: str = RUNNING
    results: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None


class TrialBook:
    """Decides for one search.

    Args:
        configs: of the trials, in order.
        metric: that every report has to have; None for no such demand.
        stop: says of a result whether its trial shall end.
    """

    def __init__(self, configs: Iterator[dict[str, Any]], metric: str | None, stop: Stop) -> None:
        self.trials: list[Trial] = []
        self._configs = configs
        self._metric = metric
        self._stop = stop

    def next_trial(self) -> Trial | None:
        """Returns a new trial to run; None where there are no more."""
        config = next(self._configs, None)
        if config is None:
            return None
        number = len(self.trials)
        trial = Trial(f"{number:05d}", number, config)
        self.trials.append(trial)
        return trial

    def result(self, trial: Trial, metrics: Mapping[str, Any]) -> bool:
        """A trial reported. Returns whether it goes on. Raises MetricNotReportedError."""
        if self._metric is not None and self._metric not in metrics:
            close = difflib.get_close_matches(self._metric, metrics, n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise MetricNotReportedError(
                f"Trial {trial.trial_id} reported without the metric {self._metric!r}.{hint} It reported: {', '.join(map(repr, metrics))}."
            )
        known = dict(metrics) | {
            "training_iteration": len(trial.results) + 1,
            "trial_id": trial.trial_id,
            "config": trial.config,
        }
        trial.results.append(known)
        return not self._stop(trial.trial_id, known)

    def ended(self, trial: Trial, error: BaseException | None) -> None:
        """A trial is over."""
        trial.status, trial.error = (TERMINATED, None) if error is None else (ERROR, error)
