"""The dask engine: shoal's API, carried out by a Dask cluster that is there already.

`shoal.init("dask")` and `shoal.init("dask://host:8786")` come by here. Dask places tasks, moves and counts objects, and runs tasks again
when workers die. What it does not have is added in `head` (a plugin of its scheduler: actors' names and deaths, key-values, what refers to
what) and `hosts` (what actors are in a worker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.exceptions import SessionStartError

if TYPE_CHECKING:
    from shoal.engines import SessionRequest
    from shoal.integrations.dask.engine import DaskEngine


def start(request: SessionRequest) -> DaskEngine:
    """Begins or joins a session on Dask (the entry point `dask` of `shoal.engines`).

    Args:
        request: `dask` or `dask://` for the Dask of this process (its current `distributed.Client`), of Dask's configuration
            (`scheduler-address`), or a new LocalCluster, in this order; `dask://host:port` for a scheduler that is there.

    Raises:
        SessionStartError: distributed is not installed, or the cluster cannot be reached.
    """
    try:
        from shoal.integrations.dask.joining import join
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("dask", "distributed"):
            raise
        raise SessionStartError(
            f"init(address={request.address!r}) needs dask.distributed, which is not installed here: "
            "pip install 'shoal-integrations[dask]'"
        ) from error
    return join(request)
