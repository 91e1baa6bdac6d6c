"""The ray engine: shoal's API, carried out by a Ray cluster that is there already.

`shoal.init("ray")` and `shoal.init("ray://host:10001")` come by here. What may live here: the translation of what shoal's API asks into
what Ray's public API does, and back. Nothing here decides where or when anything runs: Ray does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.exceptions import SessionStartError

if TYPE_CHECKING:
    from shoal.engines import SessionRequest
    from shoal.integrations.ray.engine import RayEngine


def start(request: SessionRequest) -> RayEngine:
    """Begins or joins a session on Ray (the entry point `ray` of `shoal.engines`).

    Args:
        request: `ray` for the Ray of this process, of RAY_ADDRESS, of this machine, or a new one on it, in this order;
            `ray://host:port` for a cluster whose Ray Client server is there.

    Raises:
        SessionStartError: ray is not installed, or the cluster cannot be reached.
    """
    try:
        from shoal.integrations.ray.engine import RayEngine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "ray":
            raise
        raise SessionStartError(
            f"init(address={request.address!r}) needs Ray, which is not installed here: pip install 'shoal-integrations[ray]'"
        ) from error
    return RayEngine(request)
