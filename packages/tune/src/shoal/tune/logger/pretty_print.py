"""Results for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.logger.encoding import plain

UNSAID = frozenset({"config", "hist_stats"})


def pretty_print(result: Mapping[str, Any], exclude: Sequence[str] | None = None) -> str:
    """Returns a result as indented lines of `name: value`, without what is None, and without its configuration.

    Args:
        result: what a trial reported.
        exclude: further names to leave out.

    Example:
        >>> from shoal.tune.logger import pretty_print
        >>> print(pretty_print({"loss": 0.25, "eval": {"accuracy": 0.5}, "note": None}))
        loss: 0.25
        eval:
          accuracy: 0.5
    """
    left_out = UNSAID | set(exclude or ())
    return "\n".join(_lines({name: value for name, value in result.items() if name not in left_out}, ""))


def _lines(values: Mapping[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        elif value is not None:
            lines.append(f"{indent}{name}: {plain(value)}")
    return lines
