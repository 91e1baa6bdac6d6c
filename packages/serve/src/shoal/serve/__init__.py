"""Models behind HTTP: deployments, composed, scaled and replaced while they serve. Ray Serve's API."""

from typing import TYPE_CHECKING, Any

# Programs for Ray import starlette alone, and then use starlette.requests: there it is loaded with Serve.
import starlette.requests  # noqa: F401

from shoal.serve._internal.schema.absent_names import absence
from shoal.serve._internal.version import __version__ as __version__
from shoal.serve.api import (
    RunTarget,
    delete,
    get_app_handle,
    get_deployment_handle,
    run,
    run_many,
    shutdown,
    shutdown_async,
    start,
    status,
)
from shoal.serve.batching import batch
from shoal.serve.config import AutoscalingConfig, HTTPOptions, ProxyLocation, gRPCOptions
from shoal.serve.context import ReplicaContext, get_replica_context
from shoal.serve.deployment import Application, Deployment, deployment
from shoal.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator
from shoal.serve.ingress import ingress
from shoal.serve.multiplex import get_multiplexed_model_id, multiplexed

if TYPE_CHECKING:
    from shoal.serve.predictor_deployment import PredictorDeployment


def __getattr__(name: str) -> Any:
    # FastAPI takes a while to import, and most programs that get here do not need it.
    if name == "PredictorDeployment":
        from shoal.serve.predictor_deployment import PredictorDeployment

        return PredictorDeployment
    raise absence(__name__, name)


__all__ = [
    "Application",
    "AutoscalingConfig",
    "Deployment",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "HTTPOptions",
    "PredictorDeployment",
    "ProxyLocation",
    "ReplicaContext",
    "RunTarget",
    "batch",
    "delete",
    "deployment",
    "gRPCOptions",
    "get_app_handle",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "ingress",
    "multiplexed",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]
