"""What is made of a report: looking metrics up, demanding them, and keeping account of their extremes."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from shoal.tune._internal.logic.parameters import flattened
from shoal.tune.exceptions import MetricNotReportedError

ANALYSED = ("training_iteration", "time_total_s", "time_this_iter_s")
"""Of what the search adds to each report, these are analysed."""


def flat_result(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a result in which nested metrics are found as 'a/b'; the same where nothing is nested but the configuration."""
    for name, value in result.items():
        if type(value) is dict and name != "config" and value:
            flat = flattened({key: one for key, one in result.items() if key != "config"})
            flat["config"] = result.get("config")
            return flat
    return result


def check_metrics(trial: str, demanded: Iterable[str], flat: Mapping[str, Any]) -> None:
    """Raises MetricNotReportedError where a report lacks one of the metrics that the search goes by."""
    for name in demanded:
        if name not in flat:
            raise MetricNotReportedError(explain_missing(trial, name, flat))


def explain_missing(trial: str, name: str, flat: Mapping[str, Any]) -> str:
    """Returns what to tell about a metric that is not there."""
    reported = [key for key in flat if key not in _ADDED]
    close = difflib.get_close_matches(name, list(flat), n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return (
        f"Trial {trial} reported without the metric {name!r}, which the search goes by.{hint} It reported: "
        f"{', '.join(map(repr, reported)) or 'nothing'}. (TUNE_DISABLE_STRICT_METRIC_CHECKING=1 turns this check off.)"
    )


class MetricAnalysis:
    """Keeps `Trial.metric_analysis` up to date, in time that does not grow with the number of results."""

    def __init__(self, table: dict[str, dict[str, float]]) -> None:
        self.table = table
        self._count: dict[str, int] = {}
        self._latest: dict[str, deque[float]] = {}

    def add(self, flat: Mapping[str, Any]) -> None:
        """Takes a report."""
        table = self.table
        for name, value in flat.items():
            if name in _NOT_ANALYSED:
                continue
            kind = type(value)
            if kind is not float and kind is not int:
                if kind is bool or not hasattr(value, "__float__") or hasattr(value, "__len__"):
                    continue
                try:
                    value = float(value)
                except (TypeError, ValueError):
                    continue
            entry = table.get(name)
            if entry is None:
                table[name] = {
                    "max": value,
                    "min": value,
                    "avg": value,
                    "last": value,
                    "last-5-avg": value,
                    "last-10-avg": value,
                }
                self._count[name] = 1
                self._latest[name] = deque((value,), maxlen=10)
                continue
            # NaN compares as False: it neither replaces an extreme, nor stays one.
            if value > entry["max"] or entry["max"] != entry["max"]:
                entry["max"] = value
            if value < entry["min"] or entry["min"] != entry["min"]:
                entry["min"] = value
            latest = self._latest.get(name)
            if latest is None:  # restored from a file that has the table only
                latest = self._latest[name] = deque((entry["last"],), maxlen=10)
                self._count[name] = 1
            count = self._count[name] = self._count[name] + 1
            entry["avg"] += (value - entry["avg"]) / count
            entry["last"] = value
            latest.append(value)
            recent = list(latest)
            entry["last-10-avg"] = sum(recent) / len(recent)
            entry["last-5-avg"] = sum(recent[-5:]) / min(5, len(recent))


_ADDED = frozenset(
    {
        "training_iteration",
        "time_this_iter_s",
        "time_total_s",
        "timestamp",
        "date",
        "trial_id",
        "config",
        "done",
        "hostname",
        "node_ip",
        "pid",
        "time_since_restore",
        "iterations_since_restore",
        "checkpoint_dir_name",
        "experiment_tag",
        "should_checkpoint",
    }
)
_NOT_ANALYSED = _ADDED.difference(ANALYSED)
