"""Metrics that deployments record themselves. They appear on the proxy's page `/metrics`, with where they come from as tags.

Without a session, in local testing mode, they go nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import shoal
from shoal.serve._internal.process.request_context import CURRENT, HERE
from shoal.util import metrics as core

ADDED = ("application", "deployment", "replica", "route")
"""Tags that are added to all."""


def _keys(given: Sequence[str] | None) -> Sequence[str]:
    if given is None or isinstance(given, str):
        # Core says what is wrong with a string.
        return ADDED if given is None else given
    return (*given, *(key for key in ADDED if key not in given))


def _tags(given: dict[str, str] | None) -> dict[str, str]:
    """The tags of a record, with those that are added; they are empty outside of a deployment."""
    here = HERE.get()
    if here is None:
        return {**dict.fromkeys(ADDED, ""), **(given or {})}
    return {
        "application": here.app_name,
        "deployment": here.deployment,
        "replica": here.replica_id.split("#")[-1],
        "route": CURRENT.get().route,
        **(given or {}),
    }


class Counter(core.Counter):
    """A number that only grows.

    Args:
        name: letters, digits and underscores; the page has it as `shoal_<name>_total`.
        description: for people.
        tag_keys: names of the tags that records have besides application, deployment, replica and route.

    Raises:
        InvalidOptionError: (a ValueError) for an impossible name, of the metric or of a tag.

    Example:
        >>> from shoal import serve
        >>> from shoal.serve import metrics
        >>> @serve.deployment
        ... class Model:
        ...     def __init__(self):
        ...         self.misses = metrics.Counter("cache_misses", "Answers that had to be computed.")
        ...     def __call__(self, request):
        ...         self.misses.inc()
    """

    def __init__(self, name: str, description: str = "", tag_keys: Sequence[str] | None = None) -> None:
        super().__init__(name, description, _keys(tag_keys))

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Adds to it. Raises InvalidOptionError (a ValueError) for a value that is not positive, or wrong tags."""
        if shoal.is_initialized():
            super().inc(value, _tags(tags))


class Gauge(core.Gauge):
    """A number that goes up and down.

    Args:
        name, description, tag_keys: as for Counter; the page has it as `shoal_<name>`.
    """

    def __init__(self, name: str, description: str = "", tag_keys: Sequence[str] | None = None) -> None:
        super().__init__(name, description, _keys(tag_keys))

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """Sets it; None leaves it as it is. Raises InvalidOptionError (a ValueError) for wrong tags."""
        if shoal.is_initialized():
            super().set(value, _tags(tags))


class Histogram(core.Histogram):
    """Numbers, counted by ranges.

    Args:
        name, description, tag_keys: as for Counter; the page has it as `shoal_<name>_bucket`, `_sum` and `_count`.
        boundaries: upper ends of the ranges, all above 0.
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, description, boundaries, _keys(tag_keys))

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Counts a value. Raises InvalidOptionError (a ValueError) for wrong tags."""
        if shoal.is_initialized():
            super().observe(value, _tags(tags))
