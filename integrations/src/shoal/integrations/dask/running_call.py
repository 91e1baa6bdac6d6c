"""Which call of the user's code runs here."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False)
class RunningCall:
    """One call in a worker.

    Args:
        function_name: qualified name of the function or method.
        task_name: what the call is called where it is shown.
        task_id: its id.
        job: whose it is.
        resources: what it holds.
        actor: the actor that it is a call of; None for tasks.
    """

    function_name: str
    task_name: str
    task_id: bytes
    job: Job
    resources: dict[str, float]
    actor: Host | None = None
    canceled: bool = False
    arrived: list[tuple[str, weakref.ref[Any]]] = field(default_factory=list)
    """Keys of references and handles that came with the call's arguments or with values that it got."""

    def kept(self) -> list[str]:
        """Returns the keys of those that are still there."""
        return [key for key, reference in self.arrived if reference() is not None]


running_call: ContextVar[RunningCall | None] = ContextVar("shoal_dask_call", default=None)
"""None in drivers, and in threads of the user's own."""
