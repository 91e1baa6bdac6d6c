"""Submits the executor's tasks: which options they get, and the settings that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import shoal
from shoal.data._internal.plan.compute import Compute

AHEAD = 6
"""Values (blocks and what is known of them) that a task makes before the executor has looked at them."""


@dataclass(frozen=True)
class IORetries:
    """Parts of what errors say after which reading and writing begin again."""

    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()


class Calls:
    """Tasks of one execution.

    Args:
        most_bytes: a block takes no more, if a row does not.
        early_bytes: an exchange of more does not wait for all its blocks.
        split_bytes: blocks that one task of an exchange splits take no more, if one does not.
        least_bytes: blocks below are worked on together.
        cpus_there: processors that all tasks together may use.
        reserves_cpus: whether tasks and actors reserve the processors that they use.
        tasks_in_flight: calls sent ahead to one actor, where the pool says nothing; None to choose.
        retries: after which errors tasks of reading and writing begin again.
    """

    def __init__(
        self,
        most_bytes: int,
        early_bytes: int,
        split_bytes: int,
        least_bytes: int,
        cpus_there: float,
        reserves_cpus: bool,
        tasks_in_flight: int | None = None,
        retries: IORetries | None = None,
    ) -> None:
        self.most_bytes = most_bytes
        self.early_bytes = early_bytes
        self.split_bytes = split_bytes
        self.least_bytes = max(1, least_bytes)
        self.cpus_there = cpus_there
        self.tasks_in_flight = tasks_in_flight
        self.retries = retries or IORetries()
        self._reserves_cpus = reserves_cpus
        self._remote: dict[tuple[Callable[..., Any], int | None, Any], Any] = {}

    def cpus(self, compute: Compute | None) -> float:
        """Processors that a task keeps busy, whether or not it reserves them."""
        asked = dict(compute.options).get("num_cpus") if compute is not None else None
        return 1.0 if asked is None else float(asked)

    def options(self, compute: Compute | None) -> dict[str, Any]:
        """Returns what each task or actor asks the session for."""
        options = dict(compute.options) if compute is not None else {}
        if compute is not None and compute.options_fn is not None:
            options |= compute.options_fn()
        if not self._reserves_cpus:
            options["num_cpus"] = 0
        options.setdefault("num_cpus", min(1.0, self.cpus_there))
        return options

    def stream(self, function: Callable[..., Any], compute: Compute | None, *arguments: Any) -> Any:
        """Starts a task that yields blocks and infos; returns its generator of references."""
        return self._of(function, compute, None).remote(*arguments)

    def parts(self, function: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
        """Starts a generator of `count` values (>= 2); returns their references."""
        return list(self._of(function, None, count).remote(*arguments))

    def _of(self, function: Callable[..., Any], compute: Compute | None, count: int | None) -> Any:
        key = (function, count, compute.options if compute is not None else None)
        is_fixed = (compute is None or compute.options_fn is None) and _hashable(key)
        remote = self._remote.get(key) if is_fixed else None
        if remote is None:
            options = self.options(compute)
            options["num_returns"] = "streaming" if count is None else count
            if count is None:
                options["_generator_backpressure_num_objects"] = AHEAD
            remote = shoal.remote(**options)(function)
            if is_fixed:
                self._remote[key] = remote
        return remote


def _hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True
