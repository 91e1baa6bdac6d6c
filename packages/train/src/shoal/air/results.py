"""What loggers make of a result: flat names, and the numbers among the values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

NOT_METRICS = frozenset(
    (
        "config",
        "trial_id",
        "experiment_id",
        "experiment_tag",
        "hostname",
        "node_ip",
        "pid",
        "date",
        "done",
        "should_checkpoint",
    )
)
"""What a search adds to results that is no metric."""


def flattened(nested: Mapping[str, Any], leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Returns what is nested in dicts under names with '/' between.

    Args:
        nested: dicts in dicts.
        leave_out: names of the outermost that are left out.

    Example:
        >>> from shoal.air.results import flattened
        >>> flattened({"a": {"b": 1}, "c": 2})
        {'a/b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if name in leave_out:
            continue
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}/{inner}": one for inner, one in flattened(value).items()}
        else:
            flat[str(name)] = value
    return flat


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns the flat metrics of a result that are numbers, those of numpy and torch too; NaN and infinities as well."""
    found = {name: as_number(value) for name, value in flattened(result, NOT_METRICS).items()}
    return {name: value for name, value in found.items() if value is not None}


def as_number(value: Any) -> float | None:
    """Returns a number for a number, also one of numpy or torch; None for anything else, as True and False."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _as_float(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return as_number(value.item())
    return None


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
