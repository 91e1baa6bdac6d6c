"""Starting, deploying, looking and ending: what programs call."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shoal
from shoal.exceptions import TaskError, UnsupportedError
from shoal.experimental import internal_kv
from shoal.serve._internal.logic.application_graph import application_spec
from shoal.serve._internal.logic.config_overrides import adjusted
from shoal.serve._internal.process import definition_pickling
from shoal.serve._internal.process.controller import CONCURRENT_CALLS, Controller
from shoal.serve._internal.process.controller_link import CONTROLLER, NAMESPACE, REST_SERVER, find_controller
from shoal.serve._internal.process.local_application import run_here
from shoal.serve._internal.process.request_context import HERE
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.absent_names import ALTERNATIVES
from shoal.serve._internal.schema.deployments import ApplicationSpec, DeploymentId
from shoal.serve.config import DeploymentConfig, HTTPOptions, ProxyLocation, gRPCOptions
from shoal.serve.deployment import Application, Deployment, checked
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.handle import DeploymentHandle
from shoal.serve.schema import LoggingConfig, name_problem, route_prefix_problem
from shoal.serve.status import ServeStatus

LOGGING, DEPLOYED = "logging-config", "deployed-config"
"""What is kept for as long as serving goes on: the default of logging, and the configuration that was deployed last."""


def start(
    proxy_location: ProxyLocation | str | None = None,
    http_options: HTTPOptions | Mapping[str, Any] | None = None,
    grpc_options: gRPCOptions | Mapping[str, Any] | None = None,
    logging_config: LoggingConfig | Mapping[str, Any] | None = None,
    tracing_config: None = None,
    controller_options: None = None,
) -> tuple[str, int]:
    """Starts serving, where it is not started: a controller, and a proxy that listens. What serving was started with first holds.

    Args:
        proxy_location: 'Disabled' for no HTTP: applications are reached by handles only. The others are the same on one machine.
        http_options: where, and how: HTTPOptions, or a dict of its arguments.
        grpc_options: the same for gRPC, which is served where there are grpc_servicer_functions.
        logging_config: of deployments that have none of their own.
        tracing_config: refused, like the following one: Ray has them.

    Returns:
        host and port of HTTP; an empty text and 0 where there is none.

    Raises:
        InvalidArgumentError: (a ValueError) an option is unknown, or cannot be.
        OSError: the port is in use.
        ServeError: gRPC is wanted, and grpcio is not installed.
        UnsupportedError: there is something that is refused.
    """
    _refuse(tracing_config, "tracing_config", "TracingConfig")
    _refuse(controller_options, "controller_options", "ControllerOptions")
    location = _location(proxy_location)
    http = checked(HTTPOptions, http_options, "http_options")
    grpc = checked(gRPCOptions, grpc_options, "grpc_options")
    logging = checked(LoggingConfig, logging_config, "logging_config")
    if not shoal.is_initialized():
        shoal.init()
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
        .remote(None if location is ProxyLocation.Disabled else http or HTTPOptions())
    )
    address: tuple[str, int] | None = _answer(controller.start.remote(http))
    if grpc is not None and grpc.grpc_servicer_functions:
        _answer(controller.start_grpc.remote(grpc))
    if logging is not None:
        internal_kv._internal_kv_put(LOGGING, logging.model_dump_json().encode(), namespace=NAMESPACE)
    return address if address is not None else ("", 0)


def _location(given: ProxyLocation | str | None) -> ProxyLocation:
    try:
        return ProxyLocation(given if given is not None else ProxyLocation.EveryNode)
    except ValueError:
        raise InvalidArgumentError(f"proxy_location is {given!r}; give one of {', '.join(ProxyLocation)}") from None


@dataclass(frozen=True)
class RunTarget:
    """One application for `run_many`.

    Args:
        target: a bound deployment.
        name: of the application.
        route_prefix: the paths under which HTTP reaches it; None for not at all.
        logging_config: of its deployments that have none of their own.
        external_scaler_enabled: refused: Ray has it.
    """

    target: Application
    name: str = "default"
    route_prefix: str | None = "/"
    logging_config: LoggingConfig | Mapping[str, Any] | None = None
    external_scaler_enabled: bool = False


def run(
    target: Application,
    blocking: bool = False,
    name: str = "default",
    route_prefix: str | None = "/",
    logging_config: LoggingConfig | Mapping[str, Any] | None = None,
    local_testing_mode: bool = False,
    _local_testing_mode: bool = False,
    external_scaler_enabled: bool = False,
    controller_options: None = None,
) -> DeploymentHandle:
    """Deploys an application, and returns a handle of its ingress when it runs.

    Args:
        target: a bound deployment.
        blocking: do not return: serve until Ctrl-C, which ends serving.
        name: of the application; one of that name is replaced, without a failed request.
        route_prefix: the paths under which HTTP reaches it; None for not at all.
        logging_config: of its deployments that have none of their own.
        local_testing_mode: run it in this process, for tests: no session, no processes, no HTTP; handles behave the same.
        external_scaler_enabled: refused, like the following one: Ray has them.

    Raises:
        InvalidArgumentError: (a ValueError) the target is no bound deployment, or is bound to itself; the prefix is no path, or taken.
        DeployFailedError: a deployment did not start; what ran before under that name goes on.
        UnsupportedError: there is something that is refused.

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
    _refuse(controller_options, "controller_options", "ControllerOptions")
    one = RunTarget(target, name, route_prefix, logging_config, external_scaler_enabled)
    if local_testing_mode or _local_testing_mode:
        spec = _spec(one, None)
        run_here(spec)
        return DeploymentHandle(DeploymentId(name, spec.ingress))
    return run_many([one], blocking)[0]


def run_many(
    targets: Sequence[RunTarget],
    blocking: bool = False,
    wait_for_ingress_deployment_creation: bool = True,
    wait_for_applications_running: bool = True,
) -> list[DeploymentHandle]:
    """Deploys several applications at once; others stay as they are.

    Args:
        targets: what to deploy.
        blocking: do not return: serve until Ctrl-C, which ends serving.
        wait_for_ingress_deployment_creation: has no effect: deployments are there when this returns.
        wait_for_applications_running: return when they run, rather than once they are started.

    Returns:
        handles of their ingresses, in order.

    Raises:
        InvalidArgumentError: (a ValueError) what `run` refuses; or two have one name or prefix. Nothing is deployed.
        DeployFailedError: one did not start. The others run.
    """
    for field in ("name", "route_prefix"):
        values = [getattr(one, field) for one in targets if getattr(one, field) is not None]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise InvalidArgumentError(f"targets have the {field} {twice!r} more than once; give each one of its own")
    # What is wrong with a target is told before anything is started.
    specs = [_spec(one, None) for one in targets]
    start()
    default = _default_logging()
    if default is not None:
        specs = [_spec(one, default) for one in targets]
    controller = find_controller()
    calls = [controller.deploy.remote(spec, wait_for_applications_running) for spec in specs]
    shoal.wait(calls, num_returns=len(calls))
    for call in calls:
        _answer(call)
    if blocking:
        _serve_until_interrupted()
    return [DeploymentHandle(DeploymentId(spec.name, spec.ingress)) for spec in specs]


def _answer(call: Any) -> Any:
    """Returns what the controller answers. Raises what it raises, as if it were here: where it is says nothing to anybody."""
    try:
        return shoal.get(call)
    except TaskError as error:
        if isinstance(error.cause, ServeError | OSError):
            raise error.cause from None
        raise


def _refuse(value: object, argument: str, config: str) -> None:
    """Raises UnsupportedError where there is a value for something that Ray has, and whose class is not here either."""
    if value is not None:
        raise UnsupportedError(f"{argument}={value!r}", ALTERNATIVES["shoal.serve.config"][config])


def _spec(one: RunTarget, default: LoggingConfig | None) -> ApplicationSpec:
    if one.external_scaler_enabled:
        raise UnsupportedError(
            "external_scaler_enabled=True", "Give an autoscaling_config, or deploy with another num_replicas."
        )
    if isinstance(one.target, Deployment):
        raise InvalidArgumentError(
            f"target is the deployment {one.target.name}; bind it: serve.run({one.target.name}.bind(...))"
        )
    if not isinstance(one.target, Application):
        raise InvalidArgumentError(f"target is {one.target!r}; give a bound deployment, such as Model.bind()")
    problem = name_problem(one.name)
    if problem:
        raise InvalidArgumentError(f"name is {one.name!r}: {problem}")
    problem = route_prefix_problem(one.route_prefix)
    if problem:
        raise InvalidArgumentError(f"route_prefix is {one.route_prefix!r}: {problem}")
    logging = checked(LoggingConfig, one.logging_config, "logging_config") or default

    def with_logging(config: DeploymentConfig) -> DeploymentConfig:
        return adjusted(config, {}, {}, logging) if logging is not None else config

    return application_spec(
        one.target, one.name, one.route_prefix, DeploymentHandle, definition_pickling.dumps, with_logging
    )


def _default_logging() -> LoggingConfig | None:
    found = internal_kv._internal_kv_get(LOGGING, namespace=NAMESPACE)
    return LoggingConfig.model_validate_json(found) if found is not None else None


def _serve_until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        shutdown()
        sys.exit(0)


def delete(name: str) -> None:
    """Ends an application; returns when its requests are over."""
    was_here = ROUTERS.is_local(name)
    ROUTERS.set_local(name, {})
    if was_here or not shoal.is_initialized():
        return
    shoal.get(find_controller().delete.remote([name]))


def status() -> ServeStatus:
    """Returns what is served, and how it is. Raises ServeError where nothing is."""
    found: ServeStatus = shoal.get(find_controller().status.remote())
    return found


def get_app_handle(name: str) -> DeploymentHandle:
    """Returns a handle of an application's ingress. Raises ServeError where there is no such application."""
    # Deployments ask in their handlers: it is a short wait, of which `shoal.get` would warn on an event loop.
    ingress = find_controller().ingress_of.remote(name).future().result()
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
    here = HERE.get()
    if not app_name and here is None:
        raise ServeError(f"the deployment {deployment_name} is of an application: give its name, app_name=...")
    return DeploymentHandle(DeploymentId(app_name or here.app_name, deployment_name))


def shutdown() -> None:
    """Ends serving, and all applications."""
    end_serving()
    _end_rest()


def end_serving() -> None:
    """Ends all applications, and what answers for them."""
    if not shoal.is_initialized():
        return
    try:
        controller = find_controller()
    except ServeError:
        return
    shoal.get(controller.shutdown.remote())
    shoal.kill(controller)
    _forget()


def _end_rest() -> None:
    if not shoal.is_initialized():
        return
    with contextlib.suppress(ValueError):  # Nobody answers REST.
        shoal.kill(shoal.get_actor(REST_SERVER, namespace=NAMESPACE))


async def shutdown_async() -> None:
    """Does what `shutdown` does, in an event loop."""
    if not shoal.is_initialized():
        return
    try:
        controller = find_controller()
    except ServeError:
        return
    await controller.shutdown.remote()
    shoal.kill(controller)
    _forget()
    _end_rest()


def _forget() -> None:
    ROUTERS.forget()
    for key in (LOGGING, DEPLOYED):
        internal_kv._internal_kv_del(key, namespace=NAMESPACE)
