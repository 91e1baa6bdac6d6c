"""Samples of metrics, and how Prometheus reads them.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

PREFIX = "shoal_"


class Sample(NamedTuple):
    """One metric with one set of tags.

    Args:
        name: without the prefix; of counters, without the ending `_total`.
        kind: 'counter', 'gauge' or 'histogram'.
        description: for people.
        tags: names and values.
        value: of counters and gauges; of a histogram, the sum of what was observed.
        boundaries: of a histogram, the upper ends of its ranges; the last range has none.
        counts: how many were in each range.
    """

    name: str
    kind: str
    description: str
    tags: Mapping[str, str]
    value: float
    boundaries: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


def prometheus_text(samples: Iterable[Sample]) -> str:
    """Returns samples in Prometheus' text format; those of one name stand together, as it has to be."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, those in sorted(by_name.items()):
        first = those[0]
        full = PREFIX + name + ("_total" if first.kind == "counter" else "")
        lines.append(f"# HELP {full} {_escaped(first.description)}")
        lines.append(f"# TYPE {full} {first.kind}")
        for sample in those:
            lines += _lines(full, sample)
    return "".join(line + "\n" for line in lines)


def _lines(full: str, sample: Sample) -> list[str]:
    if sample.kind != "histogram":
        return [f"{full}{_braces(sample.tags)} {_number(sample.value)}"]
    lines, below = [], 0
    for boundary, count in zip((*sample.boundaries, None), sample.counts, strict=True):
        below += count
        end = "+Inf" if boundary is None else _number(boundary)
        lines.append(f"{full}_bucket{_braces({**sample.tags, 'le': end})} {below}")
    lines.append(f"{full}_sum{_braces(sample.tags)} {_number(sample.value)}")
    lines.append(f"{full}_count{_braces(sample.tags)} {below}")
    return lines


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _braces(tags: Mapping[str, str]) -> str:
    if not tags:
        return ""
    return "{" + ",".join(f'{key}="{_quoted(value)}"' for key, value in tags.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
