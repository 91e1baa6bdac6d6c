"""How a transform is run: on how many tasks or actors, and with which resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Compute:
    """Checked once from what the user passed to a transform.

    Args:
        actors: run on a pool of actors (stateful callables) instead of tasks.
        min_size: actors that are started at once.
        max_size: most tasks or actors at a time; None for as many as fit.
        options: what each task or actor asks for (`num_cpus`, `num_gpus`, `memory`, `resources`, `runtime_env`, …), as for `.options()`.
        tasks_in_flight: most batches sent ahead to one actor; None to choose.
        concurrent_calls: batches that one actor works on at a time (threads).
        options_fn: returns further options, asked for each task or actor anew.
    """

    actors: bool = False
    min_size: int = 1
    max_size: int | None = None
    options: tuple[tuple[str, Any], ...] = field(default=(), hash=False)
    tasks_in_flight: int | None = None
    concurrent_calls: int = 1
    options_fn: Callable[[], dict[str, Any]] | None = None

    @property
    def is_plain(self) -> bool:
        """Nothing was asked for: any process may run it, the driver as well."""
        return not self.actors and self.max_size is None and not self.options and self.options_fn is None

    def runs_with(self, other: Compute) -> bool:
        """Whether one task may do the work of both."""
        return (
            not self.actors
            and not other.actors
            and self.options == other.options
            and self.max_size == other.max_size
            and self.options_fn is other.options_fn
        )


PLAIN = Compute()
