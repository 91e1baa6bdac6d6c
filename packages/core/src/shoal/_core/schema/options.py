"""What a task, an actor or a method was asked to be: Ray-shaped keywords, checked once, frozen.

`api` parses the user's keywords into these (see `api/option_parsing.py`); engines read them and never see keywords.
"""

from __future__ import annotations

import msgspec

from shoal._core.schema.resources import ResourceSet, SchedulingStrategy
from shoal._core.schema.runtime_environment import Environment

STREAMING = -1
DYNAMIC = -2


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one remote function (or of one `.options(...)` of it)."""

    resources: ResourceSet
    num_returns: int = 1
    """Number of results (>= 0), or STREAMING, or DYNAMIC."""
    max_retries: int = 3
    """Further attempts after the worker or node died; -1 = for ever."""
    retry_exceptions: bool | tuple[type[BaseException], ...] = False
    max_calls: int = 0
    """The worker exits after this many calls; 0 = never."""
    environment: Environment | None = None
    strategy: SchedulingStrategy
    label_selector: dict[str, str] = {}
    fallback_strategy: tuple[dict[str, str], ...] = ()
    name: str = ""
    generator_backpressure: int = -1
    """A streaming task pauses when this many items are unconsumed; -1 = never."""


class ActorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one actor class (or of one `.options(...)` of it)."""

    resources: ResourceSet
    """Held for the actor's life."""
    placement_resources: ResourceSet
    """Needed at the moment of placement (Ray's rule: 1 CPU to be placed, 0 held, when nothing is asked for)."""
    name: str = ""
    namespace: str | None = None
    get_if_exists: bool = False
    detached: bool = False
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int | None = None
    """None = not given: 1, or 1000 when any method is async."""
    concurrency_groups: dict[str, int] = {}
    max_pending_calls: int = -1
    allow_out_of_order_execution: bool | None = None
    environment: Environment | None = None
    strategy: SchedulingStrategy
    label_selector: dict[str, str] = {}
    fallback_strategy: tuple[dict[str, str], ...] = ()


class MethodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one actor method call: call options over method decorator over actor options."""

    num_returns: int = 1
    concurrency_group: str = ""
    max_task_retries: int | None = None
    """None = the actor's own."""
    retry_exceptions: bool | tuple[type[BaseException], ...] = False
    name: str = ""
    generator_backpressure: int = -1
