"""What travels between those who ask and a replica. Tuples: they are made and unmade on every request."""

from __future__ import annotations

from typing import Any, NamedTuple


class RequestMeta(NamedTuple):
    """About one request.

    Args:
        request_id: the same for all that one request from outside causes.
        call_id: of this call alone; what `cancel` takes.
        app: whose ingress it came in through.
        route: the prefix that matched; empty for calls by handle.
        method: of the deployment's class.
        model_id: of the multiplexed model; empty for none.
        stream: whether items are taken one after the other.
        kind: how it came: 'call' by handle, 'http' or 'grpc'.
        session_id: of those that belong together, as the client or the handle says; empty for none.
    """

    request_id: str
    call_id: str
    app: str
    route: str = ""
    method: str = "__call__"
    model_id: str = ""
    stream: bool = False
    kind: str = "call"
    session_id: str = ""

    @property
    def home(self) -> str:
        """What says which replica it is for: the same for all of one model, or else of one session; empty where any will do."""
        return self.model_id or self.session_id

    # What request routers written for Ray know them by.

    @property
    def multiplexed_model_id(self) -> str:
        """The same as `model_id`."""
        return self.model_id

    @property
    def call_method(self) -> str:
        """The same as `method`."""
        return self.method

    @property
    def app_name(self) -> str:
        """The same as `app`."""
        return self.app

    @property
    def is_streaming(self) -> bool:
        """The same as `stream`."""
        return self.stream

    @property
    def internal_request_id(self) -> str:
        """The same as `call_id`: what `on_request_completed` gets."""
        return self.call_id


class HttpRequest(NamedTuple):
    """An ASGI scope of HTTP or a WebSocket, but for what only makes sense where the connection is, and the first message that came."""

    scope: dict[str, Any]
    first: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether nothing more comes from the client."""
        return self.first["type"] == "http.request" and not self.first.get("more_body", False)


class Busy(NamedTuple):
    """The answer of a replica that has as many requests as it takes, or is about to end: somebody else should do it."""

    ending: bool


class Lost(NamedTuple):
    """The answer of a replica that cannot tell what became of a call whose line was lost."""


class Streaming(NamedTuple):
    """The first part of an answer that comes in parts: `next_items(call_id)` gives the others.

    Args:
        items: that were there by now; of HTTP, ASGI messages.
        finished: whether these are all.
    """

    items: list[Any]
    finished: bool


class GrpcCall(NamedTuple):
    """What a handler may know of a call of gRPC.

    Args:
        metadata: that the client sent.
        peer: who it is, as grpc writes it.
    """

    metadata: tuple[tuple[str, str | bytes], ...]
    peer: str


class GrpcEnd(NamedTuple):
    """The last item of a gRPC answer.

    Args:
        code: the name of a grpc.StatusCode.
        details: a text that goes with it.
        trailing_metadata: pairs of key and value.
        compression: a grpc.Compression; None for the server's.
    """

    code: str = "OK"
    details: str = ""
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()
    compression: Any = None


class GrpcNoMore(NamedTuple):
    """The client of a stream has sent its last message."""
