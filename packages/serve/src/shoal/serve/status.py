"""What is served, as `serve.status()` tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ApplicationStatus(StrEnum):
    """How an application is."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"


class DeploymentStatus(StrEnum):
    """How a deployment is."""

    UPDATING = "UPDATING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    UPSCALING = "UPSCALING"
    DOWNSCALING = "DOWNSCALING"
    DELETING = "DELETING"


class DeploymentStatusTrigger(StrEnum):
    """What brought a deployment to its status."""

    UNSPECIFIED = "UNSPECIFIED"
    CONFIG_UPDATE_STARTED = "CONFIG_UPDATE_STARTED"
    CONFIG_UPDATE_COMPLETED = "CONFIG_UPDATE_COMPLETED"
    UPSCALE_COMPLETED = "UPSCALE_COMPLETED"
    DOWNSCALE_COMPLETED = "DOWNSCALE_COMPLETED"
    AUTOSCALING = "AUTOSCALING"
    REPLICA_STARTUP_FAILED = "REPLICA_STARTUP_FAILED"
    HEALTH_CHECK_FAILED = "HEALTH_CHECK_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    DELETING = "DELETING"


class ReplicaState(StrEnum):
    """What a replica is doing."""

    STARTING = "STARTING"
    UPDATING = "UPDATING"
    RECOVERING = "RECOVERING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    PENDING_MIGRATION = "PENDING_MIGRATION"


class ProxyStatus(StrEnum):
    """What a proxy is doing."""

    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


@dataclass(frozen=True)
class DeploymentStatusOverview:
    """One deployment.

    Args:
        status: how it is.
        status_trigger: what brought it there.
        replica_states: how many replicas are in which state.
        message: what went wrong; empty where nothing did.
    """

    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger = DeploymentStatusTrigger.UNSPECIFIED
    replica_states: dict[ReplicaState, int] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class ApplicationStatusOverview:
    """One application.

    Args:
        status: how it is.
        message: what went wrong; empty where nothing did.
        last_deployed_time_s: when it was deployed last, in seconds since 1970.
        deployments: by name.
    """

    status: ApplicationStatus
    message: str = ""
    last_deployed_time_s: float = 0.0
    deployments: dict[str, DeploymentStatusOverview] = field(default_factory=dict)


@dataclass(frozen=True)
class ServeStatus:
    """All that is served.

    Args:
        proxies: by the ids of their nodes.
        applications: by name.
        target_capacity: in percent of what was asked for; None for all of it.
        addresses: where protocols are answered: 'http' and 'grpc', each 'host:port', where they are.
    """

    proxies: dict[str, ProxyStatus] = field(default_factory=dict)
    applications: dict[str, ApplicationStatusOverview] = field(default_factory=dict)
    target_capacity: float | None = None
    addresses: dict[str, str] = field(default_factory=dict)
