"""Joining Ray, or beginning it: what `init` was asked for, in Ray's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.job_config import JobConfig

from shoal.exceptions import InvalidOptionError, SessionStartError
from shoal.integrations.ray.options import runtime_env

if TYPE_CHECKING:
    from shoal.engines import SessionRequest

_OF_A_NEW_CLUSTER = {
    "num_cpus": "num_cpus",
    "num_gpus": "num_gpus",
    "resources": "resources",
    "labels": "labels",
    "object_store_memory": "object_store_memory",
    "memory": "_memory",
    "system_config": "_system_config",
    "temp_dir": "_temp_dir",
    "object_spilling_directory": "object_spilling_directory",
    "dashboard_port": "dashboard_port",
    "node_ip": "_node_ip_address",
    "node_name": "_node_name",
    "metrics_export_port": "_metrics_export_port",
}
"""Field of a request -> the keyword of `init`, here and in Ray, of what only whoever begins a cluster can choose."""
_LOOPBACK = "127.0.0.1"
"""Where the dashboard listens unless it is said."""
_JOINED = "this process has joined Ray already: leave it out, or give it to ray.init()"


def is_worker() -> bool:
    """Whether this process is one of Ray's workers (the entry point `ray` of `shoal.engines.surrounding`)."""
    return bool(ray.is_initialized()) and ray.get_runtime_context().worker.mode == ray.WORKER_MODE


def join(request: SessionRequest) -> None:
    """Begins or joins Ray as a driver.

    Raises:
        InvalidOptionError: the cluster is there already, and something of it was to be chosen.
        SessionStartError: Ray cannot be started or reached.
    """
    arguments: dict[str, Any] = {"namespace": request.namespace, "log_to_driver": request.log_to_driver}
    if request.environment is not None:
        arguments["runtime_env"] = runtime_env(request.environment)
    if request.logging:
        arguments["logging_config"] = ray.LoggingConfig(**request.logging)
    chosen = _chosen(request)
    if _is_elsewhere(request):
        for name, value in {**chosen, **_of_the_job(request)}.items():
            raise InvalidOptionError(name, value, f"Ray Client cannot take it to {request.address}: leave it out")
        arguments["address"] = request.address
    else:
        arguments |= chosen
        if request.metadata:
            arguments["job_config"] = JobConfig(metadata=dict(request.metadata))
        if request.dashboard_host != _LOOPBACK:
            arguments["dashboard_host"] = request.dashboard_host
        if request.include_dashboard is not None:
            arguments["include_dashboard"] = request.include_dashboard
    try:
        ray.init(**arguments)
    except Exception as error:
        if chosen and isinstance(error, ValueError) and "existing cluster" in str(error):
            name, value = next(iter(chosen.items()))
            raise InvalidOptionError(
                name, value, f"a Ray that runs already is joined here, which has what it has: leave it out ({error})"
            ) from None
        raise SessionStartError(f"Ray could not be started or joined (address={request.address!r}): {error}") from error


def _is_elsewhere(request: SessionRequest) -> bool:
    """Whether the address of a cluster was given, and not only that Ray is meant."""
    return request.address not in (None, "ray")


def _chosen(request: SessionRequest) -> dict[str, Any]:
    """Returns those arguments that choose something about a new cluster."""
    fields = {keyword: getattr(request, name) for name, keyword in _OF_A_NEW_CLUSTER.items()}
    return {keyword: value for keyword, value in fields.items() if value not in (None, {})}


def _of_the_job(request: SessionRequest) -> dict[str, Any]:
    return {"job_config": dict(request.metadata)} if request.metadata else {}


def check_fits(request: SessionRequest) -> None:
    """Raises InvalidOptionError where the Ray that this process has joined already is not as it is asked for."""
    if _is_elsewhere(request) and not ray.util.client.ray.is_connected():
        raise InvalidOptionError(
            "address", request.address, "this process has joined another Ray: ray.shutdown() leaves it"
        )
    for name, value in {**_chosen(request), **_of_the_job(request)}.items():
        raise InvalidOptionError(name, value, _JOINED)
    if request.environment is not None:
        raise InvalidOptionError("runtime_env", request.environment.json.decode(), _JOINED)
    namespace = ray.get_runtime_context().namespace
    if request.namespace is not None and request.namespace != namespace:
        raise InvalidOptionError("namespace", request.namespace, f"{_JOINED} (its namespace is {namespace!r})")
