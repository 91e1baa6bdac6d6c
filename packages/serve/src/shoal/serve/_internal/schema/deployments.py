"""What is to run, as the driver tells the controller, and the controller its replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from shoal.serve.config import DeploymentConfig

DEPLOYMENT_KEYS = "deployment:"
"""With it begins what routers listen to."""


class DeploymentId(NamedTuple):
    """One deployment of one application."""

    app: str
    name: str

    @property
    def key(self) -> str:
        """Under which routers hear of it."""
        return f"{DEPLOYMENT_KEYS}{self.app}:{self.name}"

    def __str__(self) -> str:
        return f"{self.name} of {self.app}"


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment that is to run.

    Args:
        id: which.
        definition: the pickled class or function.
        init: the pickled (args, kwargs) of its constructor, with handles where other deployments were bound.
        config: its options.
        code_version: changes with whatever needs new replicas: definition, init, options of the actor.
    """

    id: DeploymentId
    definition: bytes
    init: bytes
    config: DeploymentConfig
    code_version: str


@dataclass(frozen=True)
class ApplicationSpec:
    """One application that is to run.

    Args:
        name: of the application.
        route_prefix: under which HTTP reaches it; None for not at all.
        ingress: the deployment that gets requests from outside.
        deployments: all, those that others use first.
    """

    name: str
    route_prefix: str | None
    ingress: str
    deployments: tuple[DeploymentSpec, ...]


class ReplicaPlace(NamedTuple):
    """Where a replica is.

    Args:
        node_id: of the machine.
        address: of the socket on which it takes calls there; empty where only its actor does.
    """

    node_id: str = ""
    address: str = ""


NOWHERE = ReplicaPlace()
"""The place of one that does not run yet, or that is in the process of who calls it."""


class ReplicaRecord(NamedTuple):
    """A replica that runs, as a controller leaves it to the one after it.

    Args:
        deployment: whose.
        code_version: that it runs.
        config: the options that it has taken.
        rank: its number among those of its deployment.
        place: where it runs.
        is_ending: it takes no more requests.
    """

    deployment: DeploymentId
    code_version: str
    config: DeploymentConfig
    rank: int
    place: ReplicaPlace
    is_ending: bool = False


class ReplicaInfo(NamedTuple):
    """A replica that takes requests, as routers know it.

    Args:
        replica_id: of the replica.
        actor: its handle.
        max_ongoing: requests that it takes at a time.
        place: where it runs.
        models: ids of multiplexed models that it holds.
        routing_stats: what its `record_routing_stats` returned last; None for nothing yet.
    """

    replica_id: str
    actor: Any
    max_ongoing: int
    place: ReplicaPlace
    models: tuple[str, ...] = ()
    routing_stats: Mapping[str, Any] | None = None


class DeploymentTargets(NamedTuple):
    """Where requests for a deployment go now: what routers listen to.

    Args:
        replicas: that take requests.
        max_queued: requests that may wait in one router; -1 for any number.
        gone: why there will be none any more; empty while there may.
        report_s: seconds between two words of a router on how much it has to do; 0 for none.
        router: the user's class that chooses, pickled with its arguments; empty for none.
    """

    replicas: tuple[ReplicaInfo, ...]
    max_queued: int = -1
    gone: str = ""
    report_s: float = 0.0
    router: bytes = b""


class Route(NamedTuple):
    """Where a prefix of HTTP paths leads: what proxies listen to."""

    prefix: str
    app: str
    ingress: str
