"""Routers of the user's own: which replica gets the next request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve._internal.schema.requests import RequestMeta


class ReplicaID(NamedTuple):
    """One replica of one deployment."""

    unique_id: str
    deployment_id: DeploymentId

    def __str__(self) -> str:
        return self.unique_id


@dataclass(frozen=True)
class RunningReplica:
    """A replica that takes requests.

    Args:
        replica_id: which.
        node_id: where it runs.
        max_ongoing_requests: that it takes at a time.
        ongoing_requests: that this process has sent it, and that are not over.
        multiplexed_model_ids: of models that it is known to hold.
        routing_stats: what its `record_routing_stats` returned last; empty for nothing yet.
        replica_metadata: of its own; empty.
        actor_id: of its actor.
        availability_zone: None.
    """

    replica_id: ReplicaID
    node_id: str
    max_ongoing_requests: int
    ongoing_requests: int = 0
    multiplexed_model_ids: frozenset[str] = frozenset()
    routing_stats: dict[str, Any] = field(default_factory=dict)
    replica_metadata: dict[str, Any] = field(default_factory=dict)
    actor_id: Any = None
    availability_zone: str | None = None


@dataclass(frozen=True)
class PendingRequest:
    """A request that waits for a replica.

    Args:
        args: of the method. Of HTTP: one, with the `scope` of ASGI.
        kwargs: of the method.
        metadata: its ids, method and multiplexed model.
        created_at: when it began to be routed, in seconds since 1970.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    metadata: RequestMeta
    created_at: float = field(default_factory=time.time)


ReplicaResult = Any
"""For annotations of `on_request_routed`, whose `result` is None."""


class RequestRouter:
    """Derive from it, and name it in a `RequestRouterConfig`. Each process with handles of the deployment has one, on an event loop for all
    of them: methods return at once, or await.

    Example:
        >>> from shoal import serve
        >>> from shoal.serve.config import RequestRouterConfig
        >>> from shoal.serve.request_router import RequestRouter
        >>> class FirstComes(RequestRouter):
        ...     async def choose_replicas(self, candidate_replicas, pending_request=None):
        ...         return [sorted(candidate_replicas, key=lambda one: one.replica_id.unique_id)]
        >>> @serve.deployment(request_router_config=RequestRouterConfig(request_router_class=FirstComes))
        ... class Model:
        ...     pass
    """

    def __init__(self, deployment_id: DeploymentId) -> None:
        self._deployment_id = deployment_id
        self._replicas: dict[ReplicaID, RunningReplica] = {}

    def initialize_state(self, **kwargs: Any) -> None:
        """Called once, with `request_router_kwargs`."""

    @property
    def app_name(self) -> str:
        """Of the deployment's application."""
        return self._deployment_id.app

    @property
    def deployment_id(self) -> DeploymentId:
        """Of the deployment."""
        return self._deployment_id

    @property
    def curr_replicas(self) -> dict[ReplicaID, RunningReplica]:
        """Replicas that take requests now."""
        return self._replicas

    def select_available_replicas(self, candidates: list[RunningReplica] | None = None) -> list[RunningReplica]:
        """Returns those of these replicas, or of all, that have room for another request, as far as this process knows."""
        asked = list(self._replicas.values()) if candidates is None else candidates
        return [one for one in asked if one.ongoing_requests < one.max_ongoing_requests]

    def update_running_replicas(self, running_replicas: Sequence[RunningReplica]) -> None:
        """Called when replicas have come or gone."""
        self._replicas = {one.replica_id: one for one in running_replicas}

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Returns replicas by rank, the best ones first; among those of a rank, the first that has room gets the request. Where none of
        them has, it is asked again when one has.

        Args:
            candidate_replicas: that take requests, whether they have room now or not.
            pending_request: what is to be sent.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define choose_replicas")

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any = None) -> None:
        """Called when a request has been sent to a replica."""

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Called when a request is over, however it ended."""


class PowerOfTwoChoicesRequestRouter(RequestRouter):
    """The default: the less busy of two by chance, without a function of the user's on the way. Not to be derived from."""


class FIFOMixin:
    """Has no effect: requests are always routed in the order in which they came."""


class LocalityMixin:
    """Ranks replicas by where they are."""

    def rank_replicas_via_locality(self, replicas: list[RunningReplica]) -> list[list[RunningReplica]]:
        """Returns those of this node, then the others."""
        import shoal

        here = shoal.get_runtime_context().get_node_id()
        near = [one for one in replicas if one.node_id == here]
        return [rank for rank in (near, [one for one in replicas if one.node_id != here]) if rank]


class MultiplexMixin:
    """Ranks replicas by the models that they hold."""

    def rank_replicas_via_multiplex(
        self, replicas: list[RunningReplica], multiplexed_model_id: str
    ) -> list[list[RunningReplica]]:
        """Returns those that are known to hold a model, then the others."""
        holding = [one for one in replicas if multiplexed_model_id in one.multiplexed_model_ids]
        others = [one for one in replicas if multiplexed_model_id not in one.multiplexed_model_ids]
        return [rank for rank in (holding, others) if rank]
