"""The actor that answers HTTP: it finds the application by the path, and passes requests on to its ingress."""

from __future__ import annotations

import asyncio
import json
import logging
from time import perf_counter
from typing import Any

import uvicorn

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.process import metrics_page
from shoal.serve._internal.process.access_log import ServeLog
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.controller_link import ControllerLink
from shoal.serve._internal.process.limited_http import LimitedHttp
from shoal.serve._internal.process.listening import Server, is_loopback, listener_at
from shoal.serve._internal.process.loop_mailbox import running_mailbox
from shoal.serve._internal.process.metrics import IngressMetrics
from shoal.serve._internal.process.router import AnyRouter, Call
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.process.uplink import Uplink
from shoal.serve._internal.schema.deployments import DeploymentId, Route
from shoal.serve._internal.schema.requests import HttpRequest, RequestMeta, Streaming
from shoal.serve.config import HTTPOptions
from shoal.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""Methods that may be repeated (RFC 9110, 9.2.2)."""
LAST_ANSWERS_S = 5
"""Seconds that requests and WebSockets may go on for when serving ends; all applications have ended by then."""
LISTEN_AFTER = 0.02
"""Seconds after which a request is worth looking whether its client is still there."""
AGAIN_LATER = ((b"retry-after", b"1"),)
PASSED_ON = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "client",
    "server",
    "subprotocols",
)


class Proxy:
    """One for each machine."""

    def __init__(self, options: HTTPOptions) -> None:
        self._options = options
        self._routes: tuple[Route, ...] = ()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._metrics = IngressMetrics("http")
        self._log: ServeLog | None = None

    async def start(self, routes: tuple[Route, ...]) -> tuple[str, int]:
        """Listens. Returns the address. Raises OSError.

        Args:
            routes: that there are: who connects at once finds them.
        """
        self._routes = routes
        options = self._options
        self._log = ServeLog(None, {"proxy": "proxy"})
        # Whoever sends what is no HTTP gets an answer, and no line in a log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        if not is_loopback(options.host):
            self._log.warn(f"HTTP listens on {options.host}: all who reach this machine can call what is served")
        config = uvicorn.Config(
            self._with_middlewares(),
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            http=LimitedHttp,
            loop="none",
            timeout_keep_alive=int(options.keep_alive_timeout_s),
            timeout_graceful_shutdown=LAST_ANSWERS_S,
            root_path=options.root_path,
            ssl_keyfile=options.ssl_keyfile,
            ssl_certfile=options.ssl_certfile,
            ssl_keyfile_password=options.ssl_keyfile_password,
            ssl_ca_certs=options.ssl_ca_certs,
        )
        # Files of TLS that cannot be read are told to who starts this.
        config.load()
        listener = listener_at(options.host, options.port)
        server = self._server = Server(config)
        ROUTERS.loop = asyncio.get_running_loop()
        link: ControllerLink = ROUTERS.link()
        link.listen("routes", self._routes_changed)
        self._serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        return str(host), int(port)

    def _with_middlewares(self) -> Any:
        app: Any = self._app
        for kind, args, kwargs in reversed(list(self._options.middlewares)):
            app = kind(app, *args, **kwargs)
        return app

    def _routes_changed(self, routes: tuple[Route, ...]) -> None:
        self._routes = routes

    async def until_it_ends(self) -> None:
        """Returns never: who waits for this learns of the process's death at once."""
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Finishes what is being answered, and closes."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    def _route(self, path: str) -> Route | None:
        for route in self._routes:
            prefix = route.prefix.rstrip("/")
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                return route
        return None

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        root = self._options.root_path
        if root:
            # uvicorn writes it before what was asked for.
            path = path.removeprefix(root)
        if path == "/-/healthz":
            await _text(send, 200, "success")
            return
        if path == "/-/routes":
            await _json(send, {route.prefix: route.app for route in self._routes})
            return
        route = self._route(path)
        if path == "/-/metrics" or (path == "/metrics" and (route is None or not route.prefix.startswith("/metrics"))):
            await _text(send, 200, await self._metrics_page(), [(b"cache-control", b"no-store")])
            return
        begun, metrics = perf_counter(), self._metrics
        method = scope.get("method", "WEBSOCKET")
        if route is not None:
            router = ROUTERS.of(DeploymentId(route.app, route.ingress))
            refusal = router.refusal()
            if refusal is not None and scope["type"] == "http":
                # Under load too high most requests end here: nothing is done for them that need not be.
                await _text(send, 503, str(refusal), [_id_header(scope), *AGAIN_LATER])
                metrics.ended(route.prefix, method, route.app, "503", 1e3 * (perf_counter() - begun))
                return
            request = ProxiedRequest(route, router, scope, receive, send, self._options.request_timeout_s)
            metrics.ongoing += 1
            try:
                await request.answer()
            finally:
                metrics.ongoing -= 1
                metrics.ended(route.prefix, method, route.app, request.status, 1e3 * (perf_counter() - begun))
                if request.lost is not None and self._log is not None:
                    self._log.failed(f"request {request.request_id} to {route.ingress} of {route.app}", request.lost)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": f"no application is served at {path}"})
        else:
            await _text(send, 404, f"no application is served at {path}")
        metrics.ended("", method, "", "404", 1e3 * (perf_counter() - begun))

    async def metrics(self) -> list[Sample]:
        """Returns what it has counted, and its routers have."""
        return self._metrics.samples({"node_id": shoal.get_runtime_context().get_node_id()}) + ROUTERS.samples("proxy")

    async def _metrics_page(self) -> str:
        return await metrics_page.page(ROUTERS.link().controller, await self.metrics())


class ProxiedRequest:
    """One request of HTTP, or one WebSocket, on its way through the proxy.

    Args:
        route: where it goes.
        router: of its ingress.
        scope: what ASGI says of it.
        receive: gives what the client sends.
        send: takes what the client gets.
        timeout_s: seconds until the answer has to begin; None for no limit.
    """

    def __init__(
        self,
        route: Route,
        router: AnyRouter,
        scope: dict[str, Any],
        receive: Any,
        send: Any,
        timeout_s: float | None,
    ) -> None:
        self._route = route
        self._scope = scope
        self._receive = receive
        self._send = send
        self._timeout_s = timeout_s
        self._is_websocket = scope["type"] == "websocket"
        self._router = router
        self._request_id = b""
        self._begun = False
        self._gone = False
        self._timed_out = False
        self._listening: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self.status = "499"
        """Of the answer; 499 where the client was gone before there was one."""
        self.lost: Exception | None = None
        """Why there is no answer, where that is not for the replica to say."""

    @property
    def request_id(self) -> str:
        """What the client calls it, or its answer does."""
        return self._request_id.decode("latin-1")

    async def answer(self) -> None:
        """Returns when the client has its answer, or is gone."""
        first = await self._receive()
        if first["type"] == "http.disconnect":
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Streaming] = loop.create_future()

        mailbox = running_mailbox()

        def done(value: Any, error: BaseException | None) -> None:
            mailbox.settle(answer, value, error)

        call = self._call = self._made_call(first, done)
        self._router.submit(call)
        # Most answers come at once: only those that take longer are worth a task that notices when the client goes.
        more_comes = not call.args[0].is_whole
        timer = None if more_comes else loop.call_later(LISTEN_AFTER, self._listen)
        deadline = loop.call_later(self._timeout_s, self._too_late, answer) if self._timeout_s else None
        try:
            part = await answer
            if more_comes:
                # It has been taken on; the answer comes when there is one.
                self._listen()
                part = await self._router.next_items(call)
            self._begun = True
            if deadline is not None:
                deadline.cancel()
            while not self._gone:
                for message in part.items:
                    if message["type"] == "http.response.start":
                        self.status = str(message["status"])
                        message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
                    elif message["type"] == "websocket.accept":
                        self.status = "101"
                    elif message["type"] == "websocket.close" and self.status != "101":
                        self.status = "403"
                    await self._send(message)
                if part.finished:
                    return
                part = await self._router.next_items(call)
        except asyncio.CancelledError:
            if not self._gone:
                raise
        except Exception as error:
            if self._gone:
                return
            if self._begun:
                # The client sees the connection end before the answer does: there is no other way to tell it.
                raise
            await self._refuse(error)
        finally:
            if timer is not None:
                timer.cancel()
            if deadline is not None:
                deadline.cancel()
            if self._listening is not None:
                self._listening.cancel()

    def _made_call(self, first: dict[str, Any], done: Any) -> Call:
        scope, call_id = self._scope, CALL_IDS.next()
        request_id = model_id = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = value
            elif name == b"serve_multiplexed_model_id":
                model_id = value
        self._request_id = request_id or call_id.encode()
        passed = {key: scope[key] for key in PASSED_ON if key in scope}
        passed["root_path"] = scope.get("root_path", "") + self._route.prefix.rstrip("/")
        text = self._request_id.decode("latin-1")
        meta = RequestMeta(
            text, call_id, self._route.app, self._route.prefix, "__call__", model_id.decode("latin-1"), kind="http"
        )
        request = HttpRequest(passed, first)
        may_repeat = scope.get("method") in IDEMPOTENT and request.is_whole
        return Call(meta, (request,), {}, "http", done, may_repeat)

    def _listen(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._pass_on())

    async def _pass_on(self) -> None:
        """Gives the replica what the client sends later; a client that goes ends the request."""
        assert self._call is not None
        uplink = Uplink(self._router, self._call)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True
                self._router.cancel(self._call)
                return
            await uplink.send(message)
            if message["type"] == "websocket.disconnect":
                return

    def _too_late(self, answer: asyncio.Future[Streaming]) -> None:
        assert self._call is not None
        if not answer.done():
            self._timed_out = True
            self._router.cancel(self._call)
            answer.set_exception(TimeoutError())

    async def _refuse(self, error: Exception) -> None:
        headers = [(b"x-request-id", self._request_id)]
        status, text = 500, "Internal Server Error"
        if isinstance(error, BackPressureError):
            status, text = 503, str(error)
            headers += AGAIN_LATER
        elif isinstance(error, DeploymentUnavailableError):
            status, text = 503, str(error)
        elif isinstance(error, TimeoutError) and self._timed_out:
            status, text = 408, f"no answer within {self._timeout_s:g} s"
        elif isinstance(error, ReplicaUnavailableError | shoal.exceptions.ActorError):
            # The replica, which writes what its code raised, could not say this.
            self.lost = error
        self.status = str(status)
        if self._is_websocket:
            await self._send({"type": "websocket.close", "code": 1011})
        else:
            await _text(self._send, status, text, headers)


def _id_header(scope: dict[str, Any]) -> tuple[bytes, bytes]:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return name, value
    return b"x-request-id", CALL_IDS.next().encode()


async def _json(send: Any, value: Any) -> None:
    body = json.dumps(value).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def _text(send: Any, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
