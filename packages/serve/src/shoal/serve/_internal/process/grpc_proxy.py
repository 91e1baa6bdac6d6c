"""The actor that answers gRPC: it finds the application by the call's metadata, and passes calls on to its ingress."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.process.access_log import ServeLog
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.loop_mailbox import running_mailbox
from shoal.serve._internal.process.metrics import IngressMetrics
from shoal.serve._internal.process.router import AnyRouter, Call
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve._internal.schema.requests import GrpcCall, GrpcEnd, GrpcNoMore, RequestMeta, Streaming
from shoal.serve.config import gRPCOptions
from shoal.serve.exceptions import BackPressureError, DeploymentUnavailableError, InvalidArgumentError, ServeError

if TYPE_CHECKING:
    import grpc
    import grpc.aio

MOST_MESSAGE_BYTES = 256 << 20
STOP_S = 10.0
"""Seconds that calls have for their end when the server is stopped."""


class Servicer:
    """Stands where a service's methods are asked for: each is answered elsewhere."""

    def __getattr__(self, name: str) -> str:
        # A service may have a method of that name: it calls what a deployment does by default.
        if name.startswith("__") and name != "__call__":
            raise AttributeError(name)
        return name


class Registry:
    """Stands where a service is added to a server, and keeps what is added."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """What generated code calls."""
        self.handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """What newer generated code calls as well: the same methods again."""


def service_functions(given: Sequence[str | Callable[..., Any]]) -> list[Callable[..., Any]]:
    """Returns the functions that import paths name. Raises InvalidArgumentError (a ValueError) for one that names none."""
    return [_imported(one) if isinstance(one, str) else one for one in given]


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidArgumentError(
            f"grpc_servicer_functions has {path!r}, which cannot be imported ({error}); "
            f"give 'package.module_pb2_grpc.add_…Servicer_to_server', and have it where replicas find it"
        ) from error
    return found


class GrpcProxy:
    """One for each machine.

    Args:
        options: where, and which services.
        host: the address to listen on.
    """

    def __init__(self, options: gRPCOptions, host: str) -> None:
        self._options = options
        self._host = host
        self._server: grpc.aio.Server | None = None
        self._ingresses: dict[str, str] = {}
        self._metrics = IngressMetrics("grpc", good=("OK",))
        self._log: ServeLog | None = None
        self._health: Any = None
        self._services: list[str] = []
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self, applications: Sequence[tuple[str, str]]) -> tuple[str, int]:
        """Listens. Returns the address. Raises OSError, InvalidArgumentError, and ServeError where grpcio is missing.

        Args:
            applications: that there are, with their ingresses: who connects at once finds them.
        """
        try:
            import grpc
        except ImportError as error:
            raise ServeError("gRPC needs grpcio: pip install 'shoal-serve[grpc]'") from error
        registry = Registry()
        for add in service_functions(self._options.grpc_servicer_functions):
            add(Servicer(), registry)
        self._services = [one.service_name() for one in registry.handlers if hasattr(one, "service_name")]
        self._log = ServeLog(None, {"proxy": "grpc_proxy"})
        limits = [
            ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        server = self._server = grpc.aio.server(options=limits)
        server.add_generic_rpc_handlers((_handler_for(self, registry.handlers),))
        await self._add_standard_services(server)
        try:
            host = f"[{self._host}]" if ":" in self._host else self._host
            port = server.add_insecure_port(f"{host}:{self._options.port}")
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {self._host}:{self._options.port}: {error}") from error
        loop = asyncio.get_running_loop()

        def changed(applications: Any) -> None:
            loop.call_soon_threadsafe(self._applications_changed, dict(applications or ()))

        ROUTERS.loop = asyncio.get_running_loop()
        self._ingresses = dict(applications)
        await self._say_health()
        ROUTERS.link().listen("applications", changed)
        await server.start()
        return self._host, int(port)

    async def _add_standard_services(self, server: grpc.aio.Server) -> None:
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        if self._options.enable_reflection:
            from grpc_reflection.v1alpha import reflection

            reflection.enable_server_reflection((*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    def _applications_changed(self, ingresses: dict[str, str]) -> None:
        self._ingresses = ingresses
        task = asyncio.get_running_loop().create_task(self._say_health())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _say_health(self) -> None:
        from grpc_health.v1 import health_pb2

        response = health_pb2.HealthCheckResponse
        for service in self._services:
            await self._health.set(service, response.SERVING if self._ingresses else response.NOT_SERVING)

    async def until_it_ends(self) -> None:
        """Returns never: who waits for this learns of the process's death at once."""
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Finishes what is being answered, and closes."""
        if self._server is not None:
            await self._server.stop(STOP_S)

    async def metrics(self) -> list[Sample]:
        """Returns what it has counted, and its routers have."""
        tags = {"node_id": shoal.get_runtime_context().get_node_id()}
        return self._metrics.samples(tags) + ROUTERS.samples("grpc_proxy")

    # --- calls ------------------------------------------------------------------------------------------------------------------------

    async def unary(self, method: str, request: Any, messages: Any, context: Any) -> Any:
        """Answers with one message. One of `request` and `messages` is None."""
        found = [item async for item in self.items(method, request, messages, context, False)]
        return found[0]

    async def items(self, method: str, request: Any, messages: Any, context: Any, stream: bool) -> AsyncIterator[Any]:
        """Yields the messages of the answer. Sets the status of the call, or ends it with one."""
        begun = perf_counter()
        one = ProxiedCall(method, messages, context, self._options.request_timeout_s)
        self._metrics.ongoing += 1
        try:
            await one.find(self._ingresses)
            async for item in one.answered(request, stream):
                yield item
        except asyncio.CancelledError:
            one.status = "CANCELLED"
            raise
        finally:
            one.end()
            self._metrics.ongoing -= 1
            self._metrics.ended(method, method, one.app, one.status, 1e3 * (perf_counter() - begun))
            if one.lost is not None and self._log is not None:
                self._log.failed(f"call {one.request_id} of {method}", one.lost)


class ProxiedCall:
    """One call of gRPC on its way through the proxy.

    Args:
        method: with its service: '/package.Service/Method'.
        messages: of the client, where it sends a stream; else None.
        context: of grpc.
        timeout_s: seconds until the answer has to begin; None for no limit.
    """

    def __init__(self, method: str, messages: Any, context: Any, timeout_s: float | None) -> None:
        self._path = method
        self._method = method.rpartition("/")[2]
        self._messages = messages
        self._context = context
        self._timeout_s = timeout_s
        self._metadata = tuple((str(key), value) for key, value in context.invocation_metadata() or ())
        self.request_id = self._of_client("request_id") or CALL_IDS.next()
        self.app = self._of_client("application")
        self.status = "UNKNOWN"
        self.lost: Exception | None = None
        """Why there is no answer, where that is not for the replica to say."""
        self._router: AnyRouter | None = None
        self._call: Call | None = None
        self._finished = False
        self._sending: asyncio.Task[None] | None = None
        self._ingress = ""

    def _of_client(self, key: str) -> str:
        value = next((value for name, value in self._metadata if name == key), "")
        return value if isinstance(value, str) else bytes(value).decode("latin-1")

    async def find(self, ingresses: dict[str, str]) -> None:
        """Finds who answers. Ends the call where nobody does."""
        names = ", ".join(sorted(ingresses)) or "none"
        if not self.app and len(ingresses) == 1:
            self.app = next(iter(ingresses))
        if not self.app and ingresses:
            await self._abort(
                "NOT_FOUND", f"there are several applications; name one in the metadata 'application': {names}"
            )
        ingress = ingresses.get(self.app)
        if ingress is None:
            await self._abort("NOT_FOUND", f"there is no application {self.app!r}; there are: {names}")
        self._ingress = ingress

    async def answered(self, request: Any, stream: bool) -> AsyncIterator[Any]:
        """Yields the messages of the answer. Ends the call with its status."""
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    part = await self._first_part(request, stream)
            except TimeoutError:
                await self._abort("DEADLINE_EXCEEDED", f"no answer within {self._timeout_s or 0:g} s")
            while True:
                for item in part.items:
                    if isinstance(item, GrpcEnd):
                        self._finished = True
                        await self._finish(item, stream)
                        return
                    yield item
                part = await self._next_part()
        except (BackPressureError, DeploymentUnavailableError) as error:
            self._finished = True
            await self._abort("UNAVAILABLE", str(error))
        except shoal.exceptions.ShoalError as error:
            self._finished = True
            self.lost = error
            await self._abort("UNAVAILABLE", str(error))

    async def _first_part(self, request: Any, stream: bool) -> Streaming:
        loop = asyncio.get_running_loop()
        first: asyncio.Future[Streaming] = loop.create_future()

        mailbox = running_mailbox()

        def done(value: Any, error: BaseException | None) -> None:
            mailbox.settle(first, value, error)

        meta = RequestMeta(
            self.request_id,
            CALL_IDS.next(),
            self.app,
            self._path,
            self._method,
            self._of_client("multiplexed_model_id"),
            stream,
            "grpc",
            self._of_client("session_id"),
        )
        self._router = ROUTERS.of(DeploymentId(self.app, self._ingress))
        self._call = Call(meta, (request, GrpcCall(self._metadata, self._context.peer())), {}, "grpc", done)
        self._router.submit(self._call)
        part = await first
        if self._messages is None:
            return part
        # It has been taken on; the answer comes when there is one.
        self._sending = loop.create_task(self._send(self._router, self._call))
        return await self._next_part()

    async def _next_part(self) -> Streaming:
        assert self._router is not None
        assert self._call is not None
        part: Streaming = await self._router.next_items(self._call)
        if part.finished and not part.items:
            # The replica knows nothing of it: it was cancelled there.
            return Streaming([GrpcEnd("CANCELLED", "the call was cancelled")], True)
        return part

    async def _send(self, router: AnyRouter, call: Call) -> None:
        """Gives the replica what the client sends."""
        async for message in self._messages:
            await router.push(call, [message])
        await router.push(call, [GrpcNoMore()])

    async def _finish(self, end: GrpcEnd, stream: bool) -> None:
        trailing = (*end.trailing_metadata, ("request_id", self.request_id))
        if end.code != "OK":
            await self._abort(end.code, end.details, trailing)
        self.status = end.code
        if end.details:
            self._context.set_details(end.details)
        self._context.set_trailing_metadata(trailing)
        if end.compression is not None and not stream:
            self._context.set_compression(end.compression)

    async def _abort(self, code: str, details: str, trailing: Any = None) -> NoReturn:
        import grpc

        self.status = code
        await self._context.abort(
            grpc.StatusCode[code], details, (("request_id", self.request_id),) if trailing is None else trailing
        )
        raise AssertionError("abort raises")

    def end(self) -> None:
        """It is over, also where the client is gone: then its handler is cancelled."""
        if self._sending is not None:
            self._sending.cancel()
        if not self._finished and self._router is not None and self._call is not None:
            self._router.cancel(self._call)


def _handler_for(proxy: GrpcProxy, handlers: Sequence[Any]) -> grpc.GenericRpcHandler:
    """Returns what finds a call's handler: as the generated code has it, but answered by the proxy."""
    import grpc

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self._made: dict[str, Any] = {}

        def service(self, handler_call_details: Any) -> Any:
            path = handler_call_details.method
            found = self._made.get(path)
            if found is None:
                generated = next((one for one in (h.service(handler_call_details) for h in handlers) if one), None)
                if generated is None:
                    return None
                found = self._made[path] = _answered_by(proxy, path, generated)
            return found

    return Handler()


def _answered_by(proxy: GrpcProxy, path: str, generated: Any) -> Any:
    import grpc

    takes_stream, gives_stream = generated.request_streaming, generated.response_streaming
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[takes_stream, gives_stream]

    async def unary(request: Any, context: Any) -> Any:
        if takes_stream:
            return await proxy.unary(path, None, request, context)
        return await proxy.unary(path, request, None, context)

    async def items(request: Any, context: Any) -> AsyncIterator[Any]:
        one, several = (None, request) if takes_stream else (request, None)
        async for item in proxy.items(path, one, several, context, True):
            yield item

    def serialized(message: Any) -> bytes:
        try:
            wire: bytes = generated.response_serializer(message)
        except Exception as error:
            raise TypeError(f"{path} answered with a {type(message).__name__}, which is not its message") from error
        return wire

    behavior = items if gives_stream else unary
    return make(behavior, request_deserializer=generated.request_deserializer, response_serializer=serialized)
