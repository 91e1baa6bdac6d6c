"""Which call of the user's code runs here."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any


class RunningCall:
    """One call in a worker.

    Args:
        function_name: qualified name of the function or method.
        actor: what the worker knows of the actor it is (see `host`); None for tasks.
    """

    __slots__ = ("actor", "function_name")

    def __init__(self, function_name: str, actor: Any = None) -> None:
        self.function_name = function_name
        self.actor = actor


running_call: ContextVar[RunningCall | None] = ContextVar("shoal_ray_call", default=None)
"""None in drivers, and in threads of the user's own."""
