"""Metrics of the user's, recorded with Ray."""

from __future__ import annotations

from typing import Any

from ray.util import metrics as of_ray


class Metrics:
    """Keeps Ray's metrics by name and tags, since each may be made once a process."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, tuple[str, ...]], Any] = {}

    def record(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None:
        """Records one value.

        Args:
            kind: 'counter', 'gauge' or 'histogram'.
            name: of the metric.
            description: for people.
            tags: of this value.
            value: the number.
            boundaries: of a histogram's buckets.
        """
        keys = tuple(sorted(tags))
        metric = self._made.get((kind, name, keys))
        if metric is None:
            if kind == "counter":
                metric = of_ray.Counter(name, description, tag_keys=keys)
            elif kind == "histogram":
                metric = of_ray.Histogram(name, description, boundaries=boundaries, tag_keys=keys)
            else:
                metric = of_ray.Gauge(name, description, tag_keys=keys)
            self._made[kind, name, keys] = metric
        if kind == "counter":
            metric.inc(value, tags)
        elif kind == "histogram":
            metric.observe(value, tags)
        else:
            metric.set(value, tags)
