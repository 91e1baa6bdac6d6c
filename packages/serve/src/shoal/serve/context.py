"""What the code of a deployment may know of where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shoal.serve._internal.process.request_context import HERE
from shoal.serve.exceptions import ServeError


@dataclass(frozen=True)
class ReplicaRank:
    """A replica's number among those of its deployment, from 0."""

    rank: int
    node_rank: int = 0
    local_rank: int = 0


@dataclass(frozen=True)
class ReplicaContext:
    """Where code runs.

    Args:
        app_name: of the application.
        deployment: its name.
        replica_id: of this replica.
        servable_object: the user's object.
        rank: this replica's number among the others.
        world_size: how many replicas there are to be.
        code_version: what tells versions of the deployment apart.
    """

    app_name: str
    deployment: str
    replica_id: str
    servable_object: Any
    rank: ReplicaRank | None = None
    world_size: int | None = None
    code_version: str = ""

    @property
    def replica_tag(self) -> str:
        """The same as `replica_id`."""
        return self.replica_id


def _get_internal_replica_context() -> ReplicaContext | None:
    """Returns the same as `get_replica_context`; None outside of a deployment. Ray's guide to request routers has people import it."""
    found: ReplicaContext | None = HERE.get()
    return found


def get_replica_context() -> ReplicaContext:
    """Returns where the code runs. Raises ServeError outside of a deployment."""
    found = HERE.get()
    if found is None:
        raise ServeError("get_replica_context() works inside of a deployment only")
    context: ReplicaContext = found
    return context
