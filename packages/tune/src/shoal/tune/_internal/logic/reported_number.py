"""How a scheduler or a stopper reads numbers from what a trial reported."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError, MetricNotReportedError

WORST = -math.inf


def reported(result: Mapping[str, Any], name: str, role: str, trial: object) -> Any:
    """Returns what was reported under a name; 'a/b' is found in nested reports.

    Args:
        role: what the name is for ("the scheduler's metric"), for the error.
        trial: who reported, for the error.

    Raises:
        MetricNotReportedError: nothing was; the text names what is close to it.
    """
    if name in result:
        return result[name]
    value: Any = result
    for step in name.split("/"):
        if not isinstance(value, Mapping) or step not in value:
            raise _missing(result, name, role, trial)
        value = value[step]
    return value


def number(result: Mapping[str, Any], name: str, role: str, trial: object) -> float:
    """Returns the number that was reported under a name.

    Raises:
        MetricNotReportedError: nothing was reported under it.
        InvalidArgumentError: what was reported is no number.
    """
    value = reported(result, name, role, trial)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"Trial {trial} reported {value!r} as {name!r}, {role}; report a number") from error


def score(result: Mapping[str, Any], metric: str, mode: str, role: str, trial: object) -> float:
    """Returns the metric such that more is better; what is not a number (NaN) is worse than any number."""
    value = number(result, metric, role, trial)
    if math.isnan(value):
        return WORST
    return value if mode == "max" else -value


def check_mode(mode: object) -> None:
    """Raises InvalidArgumentError where it is not 'min', 'max' or None."""
    if mode not in ("min", "max", None):
        raise InvalidArgumentError(f"mode is {mode!r}; give 'min' or 'max'")


def check_number(argument: str, value: object, least: float, *, above: bool = False, most: float = math.inf) -> None:
    """Raises InvalidArgumentError where it is no number from `least` (or above it) to `most`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (value > least if above else value >= least) and value <= most:  # type: ignore[operator]
        return
    limits = f"{'>' if above else '>='} {least:g}" + (f" and <= {most:g}" if most < math.inf else "")
    raise InvalidArgumentError(f"{argument} is {value!r}; give a number {limits}")


def check_whole(argument: str, value: object, least: int) -> None:
    """Raises InvalidArgumentError where it is no whole number from `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArgumentError(f"{argument} is {value!r}; give a whole number >= {least}")


def check_name(argument: str, value: object) -> None:
    """Raises InvalidArgumentError where it is no name of something that trials report."""
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f"{argument} is {value!r}; give the name of a number that trials report")


def _missing(result: Mapping[str, Any], name: str, role: str, trial: object) -> MetricNotReportedError:
    names = list(_names(result))
    close = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return MetricNotReportedError(
        f"Trial {trial} reported without {name!r}, {role}.{hint} It reported: {', '.join(map(repr, names)) or 'nothing'}."
    )


def _names(result: Mapping[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in result.items():
        # The configuration comes along with each report, but is none of its metrics.
        if isinstance(value, Mapping) and key != "config":
            names += _names(value, f"{prefix}{key}/")
        else:
            names.append(f"{prefix}{key}")
    return names
