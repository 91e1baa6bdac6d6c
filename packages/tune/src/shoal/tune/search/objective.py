"""What a searcher reads of a result: the metrics that it goes by, and in which direction they are good."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Objective:
    """One metric and mode, or several."""

    metrics: tuple[str, ...]
    modes: tuple[str, ...]

    @classmethod
    def of(cls, metric: str | Sequence[str] | None, mode: str | Sequence[str] | None, owner: str) -> Objective:
        """Raises InvalidArgumentError where they are missing, wrong, or differ in number."""
        if not metric:
            raise InvalidArgumentError(
                f"{owner}: metric is {metric!r}; give the metric to go by, here or as TuneConfig(metric=...)"
            )
        if not mode:
            raise InvalidArgumentError(
                f"{owner}: mode is {mode!r}; give 'min' or 'max', here or as TuneConfig(mode=...)"
            )
        metrics = (metric,) if isinstance(metric, str) else tuple(metric)
        modes = (mode,) * len(metrics) if isinstance(mode, str) else tuple(mode)
        if len(modes) != len(metrics):
            raise InvalidArgumentError(f"{owner}: mode is {mode!r}; give one for each metric of {list(metrics)}")
        for each in modes:
            check_mode(owner, each)
        return cls(metrics, modes)

    def values(self, result: Mapping[str, Any]) -> list[float] | None:
        """Returns the metrics' values; None where one is no finite number, or (with a warning: searches demand it before) is missing."""
        found = [self._value(result, metric) for metric in self.metrics]
        return [float(value) for value in found] if all(map(_is_finite, found)) else None

    def losses(self, result: Mapping[str, Any]) -> list[float] | None:
        """Returns the same, as numbers of which less is better."""
        values = self.values(result)
        return None if values is None else [self.loss(value, index) for index, value in enumerate(values)]

    def loss(self, value: float, index: int = 0) -> float:
        """Returns a metric's value as a number of which less is better."""
        return value if self.modes[index] == "min" else -value

    def _value(self, result: Mapping[str, Any], metric: str) -> Any:
        value = lookup(result, metric, MISSING)
        if value is MISSING:
            close = difflib.get_close_matches(metric, map(str, result), n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            logger.warning(
                "A result has no metric %r, so it counts as failed.%s It has: %s.",
                metric,
                hint,
                ", ".join(map(repr, result)),
            )
        return value


MISSING = object()


def lookup(result: Mapping[str, Any], metric: str, default: Any = None) -> Any:
    """Returns a metric, also of a nested result ('a/b'); the default where there is none."""
    if metric in result:
        return result[metric]
    inside: Any = result
    for key in metric.split("/"):
        if not isinstance(inside, Mapping) or key not in inside:
            return default
        inside = inside[key]
    return inside


def check_mode(owner: str, mode: Any) -> None:
    """Raises InvalidArgumentError where it is neither 'min' nor 'max'."""
    if mode not in ("min", "max"):
        raise InvalidArgumentError(f"{owner}: mode is {mode!r}; give 'min' or 'max'")


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
