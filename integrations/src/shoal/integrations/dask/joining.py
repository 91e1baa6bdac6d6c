"""Joining a Dask cluster, or beginning one: what `init` was asked for, in Dask's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, LocalCluster, get_client, get_worker

from shoal.exceptions import InvalidOptionError, SessionStartError
from shoal.integrations.dask.engine import DaskEngine
from shoal.integrations.dask.limits import DASK
from shoal.integrations.dask.sessions import is_worker

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
    client, cluster, is_own = _client_of(request)
    try:
        return DaskEngine.in_driver(client, request.namespace, [one for one in (is_own and client, cluster) if one])
    except Exception as error:
        for one in (is_own and client, cluster):
            if one:
                one.close()
        raise SessionStartError(
            f"The Dask scheduler at {client.scheduler.address if client.scheduler else request.address} could not be prepared: {error} "
            "(shoal-integrations[dask] has to be installed where the scheduler and the workers run, in the same version)"
        ) from error


def _client_of(request: SessionRequest) -> tuple[Any, Any, bool]:
    """Returns the client, a cluster that has been started for it, and whether the client is the session's own."""
    try:
        if request.address not in _NAMED:
            _check_nothing_chosen(request)
            address = str(request.address).removeprefix("dask://")
            return Client(address if "://" in address else f"tcp://{address}", set_as_default=False), None, True
        try:
            client = Client.current(allow_global=True)
        except ValueError:
            pass  # there is none
        else:
            _check_nothing_chosen(request)
            return client, None, False
        if dask.config.get("scheduler-address", None):
            _check_nothing_chosen(request)
            return Client(set_as_default=False), None, True
        cluster = LocalCluster(
            n_workers=int(request.num_cpus or len(os.sched_getaffinity(0))),
            threads_per_worker=1,
            processes=True,
            resources=request.resources or None,
            dashboard_address=":0" if request.include_dashboard else None,
        )
        return Client(cluster, set_as_default=False), cluster, True
    except InvalidOptionError:
        raise
    except Exception as error:
        raise SessionStartError(
            f"Dask could not be started or joined (address={request.address!r}): {error}"
        ) from error


def _check_nothing_chosen(request: SessionRequest) -> None:
    for name in ("num_cpus", "num_gpus", "resources", "memory", "object_store_memory", "labels"):
        value = getattr(request, name)
        if value not in (None, {}):
            raise InvalidOptionError(name, value, _THERE)
