"""Application metrics of a session, as the head collects them; rendered in Prometheus' text format.

Counters and histograms add up what all processes record. A gauge has one value a process, which goes with the process.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping
from typing import Any

from shoal._core.schema.messages import MetricRecorded

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"

_EXACT = 1e15
"""Whole numbers up to here are written without a point."""

_Tags = tuple[tuple[str, str], ...]


class _Histogram:
    """Counts by range of one metric and set of tags."""

    __slots__ = ("counts", "total")

    def __init__(self, ranges: int) -> None:
        self.counts = [0] * ranges
        self.total = 0.0


class _Metric:
    """One metric: its values by tags."""

    __slots__ = ("boundaries", "counters", "description", "gauges", "histograms", "kind", "told")

    def __init__(self, kind: str, description: str, boundaries: list[float]) -> None:
        self.kind = kind
        self.description = description
        self.boundaries = boundaries
        self.counters: dict[_Tags, float] = {}
        self.gauges: dict[tuple[_Tags, bytes], float] = {}
        """By tags and process."""
        self.histograms: dict[_Tags, _Histogram] = {}
        self.told = False
        """It was said that others record another metric by this name."""


class MetricRegistry:
    """All metrics of a session, by name."""

    def __init__(self) -> None:
        self._metrics: dict[str, _Metric] = {}

    def record(self, worker_id: bytes, message: MetricRecorded) -> str:
        """Takes what a process has recorded.

        Returns:
            What is wrong with it, in words and once a metric: it has the name of a metric of another kind. Else ''.
        """
        boundaries = sorted(message.boundaries)
        metric = self._metrics.get(message.name)
        if metric is None:
            metric = self._metrics[message.name] = _Metric(message.kind, message.description, boundaries)
        if metric.kind != message.kind or metric.boundaries != boundaries:
            return self._conflict(metric, message)
        tags = tuple(sorted(message.tags.items()))
        if message.kind == COUNTER:
            metric.counters[tags] = metric.counters.get(tags, 0.0) + message.value
        elif message.kind == GAUGE:
            metric.gauges[tags, worker_id] = message.value
        else:
            histogram = metric.histograms.get(tags)
            if histogram is None:
                histogram = metric.histograms[tags] = _Histogram(len(boundaries) + 1)
            histogram.counts[bisect.bisect_left(boundaries, message.value)] += 1
            histogram.total += message.value
        return ""

    def _conflict(self, metric: _Metric, message: MetricRecorded) -> str:
        if metric.told:
            return ""
        metric.told = True
        what = f"a {metric.kind}" if metric.kind != message.kind else f"one with the boundaries {metric.boundaries}"
        return (
            f"metric {message.name!r} is {what} already; what is recorded by a {message.kind} of that name"
            f"{f' with the boundaries {message.boundaries}' if message.boundaries else ''} is dropped. Give it another name."
        )

    def process_ended(self, worker_id: bytes) -> None:
        """Its gauges say nothing any more."""
        for metric in self._metrics.values():
            for key in [key for key in metric.gauges if key[1] == worker_id]:
                del metric.gauges[key]

    def rows(self) -> list[dict[str, Any]]:
        """One row a metric and set of tags; for gauges, one a process as well."""
        rows: list[dict[str, Any]] = []
        for name, metric in sorted(self._metrics.items()):
            common = {"name": name, "kind": metric.kind, "description": metric.description}
            for tags, value in sorted(metric.counters.items()):
                rows.append({**common, "tags": dict(tags), "value": value})
            for (tags, worker_id), value in sorted(metric.gauges.items()):
                rows.append({**common, "tags": dict(tags), "worker_id": worker_id.hex(), "value": value})
            for tags, histogram in sorted(metric.histograms.items()):
                rows.append(
                    {
                        **common,
                        "tags": dict(tags),
                        "boundaries": metric.boundaries,
                        "counts": list(histogram.counts),
                        "sum": histogram.total,
                        "value": float(sum(histogram.counts)),
                    }
                )
        return rows


def prometheus_text(rows: Iterable[Mapping[str, Any]], session_tags: Mapping[str, str], prefix: str = "shoal_") -> str:
    """Returns metrics in Prometheus' text format.

    Args:
        rows: of `MetricRegistry.rows`.
        session_tags: tags that all of them get.
        prefix: of the names.
    """
    lines: list[str] = []
    said = ""
    for row in rows:
        kind = row["kind"]
        full = prefix + row["name"]
        if kind == COUNTER and not full.endswith("_total"):
            full += "_total"
        if full != said:
            said = full
            lines.append(f"# HELP {full} {_escaped(row['description'])}".rstrip())
            lines.append(f"# TYPE {full} {kind}")
        tags = {**row["tags"], **session_tags}
        if "worker_id" in row:
            tags["WorkerId"] = row["worker_id"]
        if kind == HISTOGRAM:
            lines += _histogram_lines(full, row, tags)
        else:
            lines.append(f"{full}{_braces(tags)} {_number(row['value'])}")
    return "".join(line + "\n" for line in lines)


def _histogram_lines(full: str, row: Mapping[str, Any], tags: dict[str, str]) -> list[str]:
    lines = []
    below = 0
    for boundary, count in zip([*row["boundaries"], float("inf")], row["counts"], strict=True):
        below += count
        lines.append(f"{full}_bucket{_braces({**tags, 'le': _number(boundary)})} {below}")
    lines.append(f"{full}_sum{_braces(tags)} {_number(row['sum'])}")
    lines.append(f"{full}_count{_braces(tags)} {below}")
    return lines


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def _braces(tags: Mapping[str, str]) -> str:
    if not tags:
        return ""
    return "{" + ",".join(f'{key}="{_escaped_value(value)}"' for key, value in tags.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped_value(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
