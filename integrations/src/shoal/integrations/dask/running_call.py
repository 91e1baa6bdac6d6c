"""Which call of the user's code runs here."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shoal.integrations.dask.host import Host


class Job(NamedTuple):
    """The driver that a call comes from.

    Args:
        job_id: its id.
        namespace: where it looks names up.
    """

    job_id: bytes
    namespace: str


class RunningCall:
    """One call in a worker.

    Args:
        function_name: qualified name of the function or method.
        task_name: what the call is called where it is shown.
        task_id: its id.
        job: whose it is.
        actor: the actor that it is a call of; None for tasks.
        resources: what it holds.
    """

    __slots__ = ("actor", "arrived", "canceled", "function_name", "job", "resources", "task_id", "task_name")

    def __init__(
        self,
        function_name: str,
        task_id: bytes,
        job: Job,
        actor: Host | None = None,
        task_name: str = "",
        resources: dict[str, float] | None = None,
    ) -> None:
        self.function_name = function_name
        self.task_name = task_name or function_name
        self.task_id = task_id
        self.job = job
        self.actor = actor
        self.resources = resources or {}
        self.canceled = False
        self.arrived: list[tuple[str, weakref.ref[Any]]] = []
        """Keys of references and handles that came with the call's arguments or with values that it got."""

    def kept(self) -> list[str]:
        """Returns the keys of those that are still there."""
        return [key for key, reference in self.arrived if reference() is not None]


running_call: ContextVar[RunningCall | None] = ContextVar("shoal_dask_call", default=None)
"""None in drivers, and in threads of the user's own."""
