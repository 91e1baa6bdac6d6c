"""What a method that answers gRPC may know of its call, and set of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

Metadata = Sequence[tuple[str, str | bytes]]


class RayServegRPCContext:
    """Given to methods that have a parameter `grpc_context`, or a second one without a default.

    Args:
        invocation_metadata: that the client sent.
        peer: who the client is.
        application: that the call was for.
        multiplexed_model_id: that the client named; empty for none.
        request_id: of the call.

    Example:
        >>> from shoal import serve
        >>> @serve.deployment
        ... class Greeter:
        ...     async def Hello(self, request, grpc_context):
        ...         grpc_context.set_trailing_metadata([("served-by", "greeter")])
        ...         return request
    """

    def __init__(
        self,
        invocation_metadata: Metadata = (),
        peer: str = "",
        application: str = "",
        multiplexed_model_id: str = "",
        request_id: str = "",
    ) -> None:
        self._invocation_metadata = tuple(invocation_metadata)
        self._peer = peer
        self._application = application
        self._model_id = multiplexed_model_id
        self._request_id = request_id
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing_metadata: Metadata = ()
        self._compression: grpc.Compression | None = None

    def code(self) -> grpc.StatusCode | None:
        """Returns the status that was set; None for none."""
        return self._code

    def set_code(self, code: grpc.StatusCode) -> None:
        """Sets the status of the answer: a grpc.StatusCode. It also holds where the method raises."""
        self._code = code

    def details(self) -> str:
        """Returns the text that was set."""
        return self._details

    def set_details(self, details: str) -> None:
        """Sets the text that goes with the status."""
        self._details = details

    def invocation_metadata(self) -> Metadata:
        """Returns what the client sent: pairs of key and value."""
        return self._invocation_metadata

    def trailing_metadata(self) -> Metadata:
        """Returns what was set."""
        return self._trailing_metadata

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sets what the client gets at the end: pairs of key and value."""
        self._trailing_metadata = tuple((str(key), value) for key, value in trailing_metadata)

    def peer(self) -> str:
        """Returns who the client is, such as 'ipv4:127.0.0.1:40000'."""
        return self._peer

    def application(self) -> str:
        """Returns the application that the call was for."""
        return self._application

    def multiplexed_model_id(self) -> str:
        """Returns the id that the client named; empty for none."""
        return self._model_id

    def request_id(self) -> str:
        """Returns the call's id: the client's, where it sent one as `request_id`."""
        return self._request_id

    def compression(self) -> Any:
        """Returns what was set; None for the server's."""
        return self._compression

    def set_compression(self, compression: grpc.Compression) -> None:
        """Sets how the answer is compressed: a grpc.Compression. Of streams it has no effect."""
        self._compression = compression
