"""Joining a Dask cluster, or beginning one: what `init` was asked for, in Dask's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, LocalCluster, get_client, get_worker

from shoal.exceptions import InvalidOptionError, SessionStartError
from shoal.integrations.dask.engine import DaskEngine
from shoal.integrations.dask.limits import DASK
from shoal.integrations.dask.sessions import is_worker, shared_process

if TYPE_CHECKING:
    from shoal.engines import SessionRequest

_NAMED = ("dask", "dask://", None)
_THERE = "the cluster is there already, and has what it has: leave it out, or give it to those who start its workers"


def join(request: SessionRequest) -> DaskEngine:
    """Begins or joins a session.

    Raises:
        NotSupportedByEngineError: a runtime_env was asked for.
        InvalidOptionError: the cluster is there already, and something of it was to be chosen.
        SessionStartError: the scheduler cannot be reached, or has no shoal-integrations.
    """
    if request.environment is not None:
        raise DASK.refusal("runtime_env", "runtime_env= of a session")
    if is_worker():
        return DaskEngine.in_worker(get_client(), get_worker())
    client, owned = _client_of(request)
    try:
        return DaskEngine.in_driver(client, request.namespace, owned)
    except Exception as error:
        for one in owned:
            one.close()
        raise SessionStartError(
            f"The Dask scheduler at {client.scheduler.address if client.scheduler else request.address} could not be prepared: {error} "
            "(shoal-integrations[dask] has to be installed where the scheduler and the workers run, in the same version)"
        ) from error


def _client_of(request: SessionRequest) -> tuple[Any, list[Any]]:
    """Returns the client, and what ends with the session: nothing where the client was there."""
    client = request.client or (_current_client() if request.address in _NAMED else None)
    if client is not None:
        _check_nothing_chosen(request)
        _check_client(client)
        return client, []
    has_address = request.address not in _NAMED or dask.config.get("scheduler-address", None)
    if has_address:
        _check_nothing_chosen(request)
    try:
        if has_address:
            client = Client(_address_of(request), set_as_default=False)
            return client, [client]
        cluster = LocalCluster(
            n_workers=int(request.num_cpus or len(os.sched_getaffinity(0))),
            threads_per_worker=1,
            processes=True,
            resources=request.resources or None,
            dashboard_address=":0" if request.include_dashboard else None,
        )
        client = Client(cluster, set_as_default=False)
        return client, [client, cluster]
    except Exception as error:
        raise SessionStartError(
            f"Dask could not be started or joined (address={request.address!r}): {error}"
        ) from error


def _current_client() -> Any:
    try:
        return Client.current(allow_global=True)
    except ValueError:
        return None


def _address_of(request: SessionRequest) -> str | None:
    """Returns the scheduler's address; None for that of Dask's configuration."""
    if request.address in _NAMED:
        return None
    address = str(request.address).removeprefix("dask://")
    return address if "://" in address else f"tcp://{address}"


def _check_client(client: Any) -> None:
    if client.asynchronous:
        raise InvalidOptionError(
            "client", client, "it is asynchronous: give one that is made without asynchronous=True"
        )
    if client.status != "running":
        raise SessionStartError(f"The Dask client {client!r} is {client.status}: give one that is connected")
    if client.scheduler.address.startswith("inproc://"):
        raise shared_process()


def _check_nothing_chosen(request: SessionRequest) -> None:
    for name in ("num_cpus", "num_gpus", "resources", "memory", "object_store_memory", "labels"):
        value = getattr(request, name)
        if value not in (None, {}):
            raise InvalidOptionError(name, value, _THERE)
