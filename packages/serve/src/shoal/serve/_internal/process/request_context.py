"""Where the running code runs, and which request it works on."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple


class RequestContext(NamedTuple):
    """What is known of the request that is being worked on; empty outside of any."""

    request_id: str = ""
    call_id: str = ""
    app: str = ""
    route: str = ""
    model_id: str = ""


HERE: ContextVar[Any] = ContextVar("shoal_serve_replica", default=None)
"""The replica's `ReplicaContext`, in all that runs in it."""

NO_REQUEST = RequestContext()
CURRENT: ContextVar[RequestContext] = ContextVar("shoal_serve_request", default=NO_REQUEST)
