"""Metrics of an application: counters, gauges and histograms that tasks and actors record, collected by the session.

Source: the metric types of Prometheus, https://prometheus.io/docs/concepts/metric_types/.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any

from shoal._core.api.runtime import SESSION
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_TAG_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


class Metric:
    """Base of all metrics. Can be made in any task or actor, and passed around.

    Args:
        name: letters, digits and underscores.
        description: for people.
        tag_keys: names of the tags that each record has.

    Raises:
        InvalidOptionError: (a ValueError) for an empty or impossible name, of the metric or of a tag.
        InvalidOptionTypeError: (a TypeError) for tag keys that are no strings.
    """

    _kind = ""

    def __init__(self, name: str, description: str = "", tag_keys: Sequence[str] | None = None) -> None:
        if not isinstance(name, str):
            raise InvalidOptionTypeError("name", name, "give a string")
        if not _NAME.match(name):
            raise InvalidOptionError("name", name, "give letters, digits and underscores, not beginning with a digit")
        if tag_keys is not None and (isinstance(tag_keys, str) or not isinstance(tag_keys, Sequence)):
            raise InvalidOptionTypeError("tag_keys", tag_keys, "give a tuple of strings, as in ('route',)")
        for key in tag_keys or ():
            if not isinstance(key, str):
                raise InvalidOptionTypeError("tag_keys", tag_keys, "give a tuple of strings, as in ('route',)")
            if not _TAG_KEY.match(key):
                raise InvalidOptionError(
                    "tag_keys", key, "give letters, digits and underscores, not beginning with a digit"
                )
        self._name = name
        self._description = description
        self._tag_keys = tuple(tag_keys or ())
        self._default_tags: dict[str, str] = {}
        self._boundaries: list[float] = []

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": dict(self._default_tags),
        }

    def set_default_tags(self, default_tags: dict[str, str]) -> Metric:
        """Sets the tags of records that do not give them. Returns the metric itself."""
        self._default_tags = self._checked(default_tags)
        return self

    def _checked(self, tags: dict[str, str]) -> dict[str, str]:
        for key, value in tags.items():
            if key not in self._tag_keys:
                raise InvalidOptionError(
                    "tags", key, f"metric {self._name!r} has the tag keys {self._tag_keys}; name it there first"
                )
            if not isinstance(value, str):
                raise InvalidOptionTypeError(f"tags[{key!r}]", value, "give a string")
        return dict(tags)

    def _record(self, value: float, tags: dict[str, str] | None) -> None:
        merged = {**self._default_tags, **self._checked(tags or {})}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise InvalidOptionError("tags", tags, f"metric {self._name!r} needs also {', '.join(missing)}")
        SESSION.require().record_metric(self._kind, self._name, self._description, merged, value, self._boundaries)


def _number(value: object) -> float:
    """A plain float of any number, also of numpy's."""
    if not hasattr(value, "__float__"):
        raise InvalidOptionTypeError("value", value, "give a number")
    return float(value)


class Counter(Metric):
    """A number that only grows.

    Example:
        >>> from shoal.util.metrics import Counter
        >>> requests = Counter("requests", "requests served", tag_keys=("route",))
        >>> requests.inc(tags={"route": "/"})
        >>> import shoal; shoal.shutdown()
    """

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Adds to it. Raises InvalidOptionError (a ValueError) for a value that is not positive, or wrong tags."""
        number = _number(value)
        if not number > 0:
            raise InvalidOptionError("value", value, "a counter only grows; give a number > 0")
        self._record(number, tags)


class Gauge(Metric):
    """A number that goes up and down."""

    _kind = "gauge"

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """Sets it; None leaves it as it is. Raises InvalidOptionError (a ValueError) for wrong tags."""
        if value is not None:
            self._record(_number(value), tags)


class Histogram(Metric):
    """Numbers, counted by ranges.

    Args:
        name, description, tag_keys: as for all metrics.
        boundaries: upper ends of the ranges, all above 0.
    """

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, description, tag_keys)
        if not boundaries or not all(boundary > 0 for boundary in boundaries):
            raise InvalidOptionError("boundaries", boundaries, "give a list of numbers > 0, as in [0.1, 1, 10]")
        self.boundaries = self._boundaries = sorted(float(boundary) for boundary in boundaries)

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "boundaries": self.boundaries}

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Counts a value. Raises InvalidOptionError (a ValueError) for wrong tags."""
        number = _number(value)
        if math.isnan(number):
            raise InvalidOptionError("value", value, "it belongs to no range")
        self._record(number, tags)


def list_metrics() -> list[dict[str, Any]]:
    """Returns what the session has collected, as rows: 'name', 'kind', 'description', 'tags' and 'value'.

    Counters and histograms (with 'boundaries', 'counts' and 'sum'; 'value' is how many numbers there were) add up what all processes
    have recorded: one row a set of tags. Gauges have a row a process, with its 'worker_id', for as long as it lives.
    """
    return SESSION.require().state("metrics")


def prometheus_text() -> str:
    """Returns what the session has collected, in Prometheus' text format: `shoal_<name>`, counters `shoal_<name>_total`, histograms
    `shoal_<name>_bucket`, `_sum` and `_count`. Tags of the session are added: NodeAddress, SessionName, and WorkerId for gauges."""
    from shoal._core.process import metric_registry

    session = SESSION.require().session
    session_tags = {"NodeAddress": session.node_ip, "SessionName": os.path.basename(session.session_dir)}
    return metric_registry.prometheus_text(list_metrics(), session_tags)
