"""Errors of shoal.serve."""

from __future__ import annotations

from typing import Any

from shoal.exceptions import ShoalError, TaskCancelledError


class ServeError(ShoalError):
    """Base of all errors of shoal.serve."""


RayServeException = ServeError


class InvalidArgumentError(ServeError, ValueError):
    """An argument has a value that it cannot have. The text names the argument, the value and the fix."""


class DeployFailedError(ServeError, RuntimeError):
    """An application could not be deployed. The text tells which deployment, and why; what ran before it goes on."""


class BackPressureError(ServeError):
    """More requests wait for a deployment than its `max_queued_requests`.

    Args:
        num_queued_requests: that wait already.
        max_queued_requests: that may wait.
    """

    def __init__(self, num_queued_requests: int, max_queued_requests: int) -> None:
        super().__init__(
            f"{num_queued_requests} requests wait already, and max_queued_requests is {max_queued_requests}; "
            f"ask again later, or give the deployment more replicas or a longer queue"
        )
        self.num_queued_requests = num_queued_requests
        self.max_queued_requests = max_queued_requests

    def __reduce__(self) -> tuple[type[BackPressureError], tuple[int, int]]:
        return BackPressureError, (self.num_queued_requests, self.max_queued_requests)


class DeploymentUnavailableError(ServeError):
    """A deployment could not be deployed, or is gone. The text names it."""


class ReplicaUnavailableError(ServeError):
    """A replica died while it worked on a request. The text names it, and tells how it died."""


class RequestCancelledError(ServeError, TaskCancelledError):
    """A request was cancelled.

    Args:
        request_id: of the request.
    """

    def __init__(self, request_id: str = "") -> None:
        ShoalError.__init__(self, f"request {request_id} was cancelled")
        self.request_id = request_id

    def __reduce__(self) -> tuple[type[RequestCancelledError], tuple[str]]:
        return RequestCancelledError, (self.request_id,)


class gRPCStatusError(ServeError):
    """A method that answers gRPC raises it for a status of its choice.

    Args:
        original_exception: what went wrong.
        code: a grpc.StatusCode; None for INTERNAL.
        details: a text for the client; None for that of the exception.
    """

    def __init__(self, original_exception: BaseException, code: Any = None, details: str | None = None) -> None:
        super().__init__(details or str(original_exception))
        self.original_exception = original_exception
        self.code = code
        self.details = details

    def __reduce__(self) -> tuple[type[gRPCStatusError], tuple[BaseException, Any, str | None]]:
        return gRPCStatusError, (self.original_exception, self.code, self.details)
