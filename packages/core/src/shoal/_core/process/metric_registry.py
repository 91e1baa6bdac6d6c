"""Application metrics of a session, as the head collects them; rendered in Prometheus' text format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
"""

from __future__ import annotations

import bisect
from typing import Any

from shoal._core.schema.messages import MetricRecorded

_Labels = tuple[tuple[str, str], ...]


class _Series:
    """One metric: its values by labels."""

    __slots__ = ("boundaries", "counts", "description", "kind", "totals", "values")

    def __init__(self, kind: str, description: str, boundaries: list[float]) -> None:
        self.kind = kind
        self.description = description
        self.boundaries = boundaries
        self.values: dict[_Labels, float] = {}
        self.counts: dict[_Labels, list[int]] = {}
        self.totals: dict[_Labels, float] = {}


class MetricRegistry:
    """Counters add, gauges replace, histograms count."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def record(self, message: MetricRecorded) -> None:
        series = self._series.get(message.name)
        if series is None:
            series = _Series(message.kind, message.description, sorted(message.boundaries))
            self._series[message.name] = series
        labels = tuple(sorted(message.tags.items()))
        if message.kind == "counter":
            series.values[labels] = series.values.get(labels, 0.0) + message.value
        elif message.kind == "gauge":
            series.values[labels] = message.value
        else:
            counts = series.counts.setdefault(labels, [0] * (len(series.boundaries) + 1))
            counts[bisect.bisect_left(series.boundaries, message.value)] += 1
            series.totals[labels] = series.totals.get(labels, 0.0) + message.value

    def rows(self) -> list[dict[str, Any]]:
        """One row a metric and label set."""
        rows: list[dict[str, Any]] = []
        for name, series in self._series.items():
            for labels, value in series.values.items():
                rows.append({"name": name, "kind": series.kind, "tags": dict(labels), "value": value})
            for labels, counts in series.counts.items():
                rows.append(
                    {
                        "name": name,
                        "kind": series.kind,
                        "tags": dict(labels),
                        "boundaries": series.boundaries,
                        "counts": counts,
                        "sum": series.totals[labels],
                        "value": float(sum(counts)),
                    }
                )
        return rows

    def prometheus(self, prefix: str = "shoal_") -> str:
        """Returns all metrics in Prometheus' text format."""
        lines: list[str] = []
        for name, series in sorted(self._series.items()):
            full = prefix + name + ("_total" if series.kind == "counter" else "")
            lines.append(f"# HELP {full} {_escape(series.description)}")
            lines.append(f"# TYPE {full} {series.kind}")
            for labels, value in sorted(series.values.items()):
                lines.append(f"{full}{_braces(labels)} {value:g}")
            for labels, counts in sorted(series.counts.items()):
                below = 0
                for boundary, count in zip([*series.boundaries, float("inf")], counts, strict=True):
                    below += count
                    bound = "+Inf" if boundary == float("inf") else f"{boundary:g}"
                    lines.append(f"{full}_bucket{_braces((*labels, ('le', bound)))} {below}")
                lines.append(f"{full}_sum{_braces(labels)} {series.totals[labels]:g}")
                lines.append(f"{full}_count{_braces(labels)} {below}")
        return "\n".join(lines) + "\n"


def _braces(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
