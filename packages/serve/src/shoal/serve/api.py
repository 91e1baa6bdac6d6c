"""Starting, deploying, looking and ending: what programs call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shoal
from shoal.serve._internal.logic.application_graph import application_spec
from shoal.serve._internal.process import definition_pickling
from shoal.serve._internal.process.controller import CONCURRENT_CALLS, Controller
from shoal.serve._internal.process.controller_link import CONTROLLER, NAMESPACE, find_controller
from shoal.serve._internal.process.local_application import run_here
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve.config import HTTPOptions
from shoal.serve.context import get_replica_context
from shoal.serve.deployment import Application
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.handle import DeploymentHandle
from shoal.serve.status import ServeStatus


def start(http_options: HTTPOptions | Mapping[str, Any] | None = None) -> tuple[str, int]:
    """Starts serving, where it is not started: a controller, and a proxy that listens.

    Args:
        http_options: where, and how; what serving was started with first holds.

    Returns:
        host and port of HTTP.

    Raises:
        OSError: the port is in use.
    """
    if not shoal.is_initialized():
        shoal.init()
    options = http_options if isinstance(http_options, HTTPOptions) else HTTPOptions(**(http_options or {}))
    controller = (
        shoal.remote(Controller)
        .options(
            name=CONTROLLER,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=CONCURRENT_CALLS,
            max_restarts=-1,
            max_task_retries=-1,
        )
        .remote(options)
    )
    address: tuple[str, int] = shoal.get(controller.start.remote())
    return address


def run(
    target: Application,
    *,
    name: str = "default",
    route_prefix: str | None = "/",
    local_testing_mode: bool = False,
    _local_testing_mode: bool = False,
) -> DeploymentHandle:
    """Deploys an application, and returns a handle of its ingress when it runs.

    Args:
        target: a bound deployment.
        name: of the application; one of that name is replaced, without a failed request.
        route_prefix: the paths under which HTTP reaches it; None for not at all.
        local_testing_mode: run it in this process, for tests: no session, no processes, no HTTP; handles behave the same.

    Raises:
        InvalidArgumentError: (a ValueError) the target is no bound deployment, or is bound to itself.
        DeployFailedError: a deployment did not start; what ran before under that name goes on.

    Example:
        >>> from shoal import serve
        >>> @serve.deployment
        ... class Adder:
        ...     def __init__(self, increment):
        ...         self.increment = increment
        ...     def __call__(self, x):
        ...         return x + self.increment
        >>> serve.run(Adder.bind(2), local_testing_mode=True).remote(3).result()
        5
    """
    if not isinstance(target, Application):
        raise InvalidArgumentError(f"target is {target!r}; give a bound deployment, such as Model.bind()")
    spec = application_spec(target, name, route_prefix, DeploymentHandle, definition_pickling.dumps)
    if local_testing_mode or _local_testing_mode:
        run_here(spec)
        return DeploymentHandle(DeploymentId(name, spec.ingress))
    start()
    shoal.get(find_controller().deploy.remote(spec))
    return DeploymentHandle(DeploymentId(name, spec.ingress))


def delete(name: str) -> None:
    """Ends an application; returns when its requests are over."""
    ROUTERS.set_local(name, {})
    if not shoal.is_initialized():
        return
    shoal.get(find_controller().delete.remote([name]))


def status() -> ServeStatus:
    """Returns what is served, and how it is. Raises ServeError where nothing is."""
    found: ServeStatus = shoal.get(find_controller().status.remote())
    return found


def get_app_handle(name: str) -> DeploymentHandle:
    """Returns a handle of an application's ingress. Raises ServeError where there is no such application."""
    ingress = shoal.get(find_controller().ingress_of.remote(name))
    if ingress is None:
        raise ServeError(f"there is no application {name!r}; there are: {', '.join(status().applications) or 'none'}")
    return DeploymentHandle(DeploymentId(name, ingress))


def get_deployment_handle(deployment_name: str, app_name: str | None = None) -> DeploymentHandle:
    """Returns a handle of a deployment.

    Args:
        deployment_name: of the deployment.
        app_name: of its application; None inside of a deployment, for its own.

    Raises:
        ServeError: there is no app_name, and this is no deployment.
    """
    return DeploymentHandle(DeploymentId(app_name or get_replica_context().app_name, deployment_name))


def shutdown() -> None:
    """Ends serving, and all applications."""
    try:
        controller = find_controller()
    except ServeError:
        return
    shoal.get(controller.shutdown.remote())
    shoal.kill(controller)
    ROUTERS.forget()
