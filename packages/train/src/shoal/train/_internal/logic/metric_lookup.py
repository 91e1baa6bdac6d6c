"""Metrics by name, those inside of others too."""

from __future__ import annotations

from typing import Any


def looked_up(metrics: Any, name: str) -> Any:
    """Returns a metric by its name, or by the names on the way to it, with '/' between; None where there is none."""
    if name in metrics:
        return metrics[name]
    for part in name.split("/"):
        if not isinstance(metrics, dict) or part not in metrics:
            return None
        metrics = metrics[part]
    return metrics
