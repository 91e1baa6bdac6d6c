"""Inside of a replica: a call of gRPC becomes a call of the method that is named like it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.process.user_code import UserCode
from shoal.serve._internal.schema.requests import GrpcCall, GrpcEnd, GrpcNoMore, RequestMeta
from shoal.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    gRPCStatusError,
)
from shoal.serve.grpc_util import RayServegRPCContext

MOST_DETAILS = 4000
"""Characters: they travel in a header."""
UNAVAILABLE = (BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError)


async def answer(
    code: UserCode, meta: RequestMeta, message: Any, call: GrpcCall, stream: ReplyStream
) -> Exception | None:
    """Sends the method's messages and a GrpcEnd to `stream`. Returns what the method raised.

    Args:
        code: which has the method.
        meta: of the call.
        message: of the client; None where it sends a stream, which comes by `stream.receive`.
        call: what else is known.
        stream: where the answer goes.
    """
    context = RayServegRPCContext(call.metadata, call.peer, meta.app, meta.model_id, meta.request_id)
    try:
        method = code.method(meta.method)
    except AttributeError as error:
        await stream.send(GrpcEnd("UNIMPLEMENTED", str(error)))
        return error
    try:
        args, kwargs = with_context(method, _messages(stream) if message is None else message, context)
        value = await code.run(method, *args, **kwargs)
        if meta.stream:
            async for item in code.items(value):
                await stream.send(item)
        elif inspect.isgenerator(value) or inspect.isasyncgen(value):
            raise TypeError(f"{meta.method} is to return one message, and is a generator; return the message")
        else:
            await stream.send(value)
    except Exception as error:
        await stream.send(end_of(context, error))
        return error
    await stream.send(end_of(context))
    return None


async def _messages(stream: ReplyStream) -> AsyncIterator[Any]:
    while not isinstance(message := await stream.receive(), GrpcNoMore):
        yield message


def with_context(method: Callable[..., Any], message: Any, context: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a method: the message, and the context where it takes one."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return (message,), {}
    if "grpc_context" in parameters:
        return (message,), {"grpc_context": context}
    needed = [
        one
        for one in parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return ((message, context), {}) if len(needed) >= 2 else ((message,), {})


def end_of(context: RayServegRPCContext, error: Exception | None = None) -> GrpcEnd:
    """Returns how the client is told of the end: what the method set goes before what follows from its error."""
    code, details = "OK", ""
    if isinstance(error, gRPCStatusError):
        code, details = getattr(error.code, "name", "INTERNAL"), error.details or str(error.original_exception)
    elif isinstance(error, UNAVAILABLE):
        code, details = "UNAVAILABLE", str(error)
    elif isinstance(error, NotImplementedError):
        code, details = "UNIMPLEMENTED", str(error)
    elif error is not None:
        code, details = "INTERNAL", f"{type(error).__name__}: {error}"
    chosen = context.code()
    if chosen is not None:
        code = chosen.name
    details = (context.details() or details)[:MOST_DETAILS]
    return GrpcEnd(code, details, tuple(context.trailing_metadata()), context.compression())
