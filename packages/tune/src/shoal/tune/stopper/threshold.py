"""Ends trials whose numbers have reached what users give as `stop`, and makes stoppers of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.tune._internal.logic.reported_number import number
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.stopper.stopper import CombinedStopper, FunctionStopper, NoopStopper, Stopper


class ThresholdStopper(Stopper):
    """Ends a trial when any of its numbers is at least as high as its threshold.

    Args:
        thresholds: by metric; nested, or flat with 'a/b'.

    Raises:
        InvalidArgumentError: a threshold is no number.
    """

    def __init__(self, thresholds: Mapping[str, Any]) -> None:
        self._thresholds = _flat("stop", thresholds)

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        # All are read, so that a name that nobody reports is found with the first report.
        reached = [
            number(result, metric, "by which the trial is to be stopped", trial_id) >= threshold
            for metric, threshold in self._thresholds.items()
        ]
        return any(reached)

    def stop_all(self) -> bool:
        return False

    def get_state(self) -> dict[str, Any]:
        return {}


def stopper_of(stop: object) -> Stopper:
    """Returns a stopper of what users give as `stop`.

    Args:
        stop: thresholds by metric (a trial ends when one is reached), a function of a trial's id and result, a Stopper, a list of these,
            or None.

    Raises:
        InvalidArgumentError: it is something else.

    Example:
        >>> from shoal.tune.stopper import stopper_of
        >>> stopper_of({"training_iteration": 10})("trial", {"training_iteration": 10})
        True
    """
    if stop is None:
        return NoopStopper()
    if isinstance(stop, Stopper):
        return stop
    if isinstance(stop, type) and issubclass(stop, Stopper):
        raise InvalidArgumentError(f"stop is the class {stop.__name__}; give an object: stop={stop.__name__}(...)")
    if isinstance(stop, Mapping):
        return ThresholdStopper(stop) if stop else NoopStopper()
    if isinstance(stop, list | tuple):
        return CombinedStopper(*map(stopper_of, stop))
    if callable(stop):
        return FunctionStopper(stop)
    raise InvalidArgumentError(
        f"stop is {stop!r}; give a dict of metrics and thresholds, a function of (trial_id, result), a Stopper, or a list of these"
    )


def _flat(argument: str, thresholds: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, threshold in thresholds.items():
        if not isinstance(name, str):
            raise InvalidArgumentError(f"{argument} has the key {name!r}; give names of metrics")
        if isinstance(threshold, Mapping):
            flat |= _flat(f"{argument}[{name!r}]", threshold, f"{prefix}{name}/")
            continue
        try:
            flat[f"{prefix}{name}"] = float(threshold)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"{argument}[{name!r}] is {threshold!r}; give a number: trials end when they report it, or more"
            ) from error
    return flat
