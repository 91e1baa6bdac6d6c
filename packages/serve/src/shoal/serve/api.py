"""Starting, deploying, looking and ending: what programs call."""

from __future__ import annotations

from typing import Any

import shoal
from shoal import cloudpickle
from shoal.serve._internal.logic.application_graph import application_spec
from shoal.serve._internal.process.controller import Controller
from shoal.serve._internal.process.controller_link import CONTROLLER, NAMESPACE, find_controller
from shoal.serve._internal.process.local_application import run_here
from shoal.serve._internal.process.proxy import Proxy
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve.config import HTTPOptions
from shoal.serve.deployment import Application
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.handle import DeploymentHandle

PROXY = "SERVE_PROXY_ACTOR"


def start(http_options: HTTPOptions | dict[str, Any] | None = None) -> tuple[str, int]:
    """Starts serving, where it is not started: a controller, and a proxy that listens. Returns host and port of HTTP."""
    if not shoal.is_initialized():
        shoal.init()
    try:
        find_controller()
    except ServeError:
        return _started(http_options)
    address: tuple[str, int] = shoal.get(shoal.get_actor(PROXY, namespace=NAMESPACE).address.remote())
    return address


def _started(http_options: HTTPOptions | dict[str, Any] | None) -> tuple[str, int]:
    options = http_options if isinstance(http_options, HTTPOptions) else HTTPOptions(**(http_options or {}))
    system: dict[str, Any] = {"namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0, "max_concurrency": 100_000}
    controller = shoal.remote(Controller).options(name=CONTROLLER, **system).remote(options)
    shoal.get(controller.http_options.remote())
    proxy = shoal.remote(Proxy).options(name=PROXY, **system).remote(options)
    address: tuple[str, int] = shoal.get(proxy.start.remote())
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
    spec = application_spec(target, name, route_prefix, DeploymentHandle, cloudpickle.dumps)
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
    shoal.get(find_controller().delete.remote(name))


def shutdown() -> None:
    """Ends serving, and all applications."""
    try:
        controller = find_controller()
    except ServeError:
        return
    shoal.get(controller.shutdown.remote())
    proxy = shoal.get_actor(PROXY, namespace=NAMESPACE)
    shoal.get(proxy.stop.remote())
    shoal.kill(proxy)
    shoal.kill(controller)
    ROUTERS.forget()
