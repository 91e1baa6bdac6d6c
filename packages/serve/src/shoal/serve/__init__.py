"""Models behind HTTP: deployments, composed, scaled and replaced while they serve. Ray Serve's API."""

from shoal.serve._internal.version import __version__ as __version__
from shoal.serve.api import delete, run, shutdown, start
from shoal.serve.batching import batch
from shoal.serve.config import AutoscalingConfig, HTTPOptions, ProxyLocation, gRPCOptions
from shoal.serve.deployment import Application, Deployment, deployment
from shoal.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

__all__ = [
    "Application",
    "AutoscalingConfig",
    "Deployment",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "HTTPOptions",
    "ProxyLocation",
    "batch",
    "delete",
    "deployment",
    "gRPCOptions",
    "run",
    "shutdown",
    "start",
]
