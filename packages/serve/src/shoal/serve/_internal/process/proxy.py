"""The actor that answers HTTP: it finds the application by the path, and passes requests on to its ingress."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from functools import partial
from time import perf_counter
from typing import Any

import uvicorn

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.process import metrics_page
from shoal.serve._internal.process.access_log import ServeLog
from shoal.serve._internal.process.controller_link import ControllerLink
from shoal.serve._internal.process.event_loop_thread import EventLoopThread
from shoal.serve._internal.process.garbage import collect_seldom
from shoal.serve._internal.process.limited_http import LimitedHttp
from shoal.serve._internal.process.listening import Server, is_loopback, listener_at, new_loop
from shoal.serve._internal.process.metrics import IngressMetrics
from shoal.serve._internal.process.proxied_request import (
    ProxiedRequest,
    id_of,
    refusal_of,
    send_refusal,
    send_text,
)
from shoal.serve._internal.process.proxy_http import FORWARDED, Exchange, ProxyHttp
from shoal.serve._internal.process.refusal_pace import RefusalPace
from shoal.serve._internal.process.router import AnyRouter
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.process.whole_request import WholeRequest
from shoal.serve._internal.schema.deployments import DeploymentId, Route
from shoal.serve.config import HTTPOptions

OWN_PATHS = ("/-/", "/metrics")
"""Beginnings of paths that may be the proxy's own."""
LAST_ANSWERS_S = 5
"""Seconds that requests and WebSockets may go on for when serving ends; all applications have ended by then."""


class Destination:
    """Where the paths of one prefix lead.

    Args:
        route: the prefix, and what answers there.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self._prefix = route.prefix.rstrip("/")
        self._below = self._prefix + "/"
        self._ingress = DeploymentId(route.app, route.ingress)
        self._router: AnyRouter | None = None
        self._link: ControllerLink | None = None

    def has(self, path: str) -> bool:
        """Whether a path leads there."""
        return path.startswith(self._below) or path == self._prefix or not self._prefix

    def router(self) -> AnyRouter:
        """Returns the router of what answers. Raises ServeError where nothing is served."""
        if self._router is None or self._link is None or self._link.is_lost:
            self._link = ROUTERS.link()
            self._router = ROUTERS.of(self._ingress)
        return self._router


class Proxy:
    """One for each machine."""

    def __init__(self, options: HTTPOptions) -> None:
        self._options = options
        self._destinations: tuple[Destination, ...] = ()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._metrics = IngressMetrics("http")
        self._log: ServeLog | None = None
        self._pace = RefusalPace()
        self._thread = EventLoopThread("shoal-serve-http", new_loop)
        """Of its own, so that the loop can be the fastest that there is."""

    async def start(self, routes: tuple[Route, ...]) -> tuple[str, int]:
        """Listens. Returns the address. Raises OSError.

        Args:
            routes: that there are: who connects at once finds them.
        """
        self._routes_changed(routes)
        options = self._options
        self._log = ServeLog(None, {"proxy": "proxy"})
        # Whoever sends what is no HTTP gets an answer, and no line in a log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        if not is_loopback(options.host):
            self._log.warn(f"HTTP listens on {options.host}: all who reach this machine can call what is served")
        # Middleware sees all requests.
        protocol: Any = LimitedHttp if options.middlewares else partial(ProxyHttp, self)
        config = uvicorn.Config(
            self._with_middlewares(),
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            http=protocol,
            loop="none",
            timeout_keep_alive=int(options.keep_alive_timeout_s),
            timeout_graceful_shutdown=LAST_ANSWERS_S,
            root_path=options.root_path,
            ssl_keyfile=options.ssl_keyfile,
            ssl_certfile=options.ssl_certfile,
            ssl_keyfile_password=options.ssl_keyfile_password,
            ssl_ca_certs=options.ssl_ca_certs,
            ssl_cert_reqs=ssl.CERT_REQUIRED if options.ssl_ca_certs is not None else ssl.CERT_NONE,
        )
        try:
            config.load()
        except OSError as error:
            raise OSError(
                error.errno,
                f"TLS cannot begin with the ssl_certfile {options.ssl_certfile} and the ssl_keyfile {options.ssl_keyfile}: {error}; "
                f"give files that this machine has, as PEM",
            ) from error
        listener = listener_at(options.host, options.port)
        self._server = Server(config)
        collect_seldom()
        await asyncio.wrap_future(self._thread.run(self._begin(self._server, listener)))
        host, port = listener.getsockname()[:2]
        return str(host), int(port)

    async def _begin(self, server: uvicorn.Server, listener: socket.socket) -> None:
        """Serves, on the loop for that."""
        loop = ROUTERS.loop = asyncio.get_running_loop()
        ROUTERS.link().listen("routes", self._routes_changed)
        self._serving = loop.create_task(server.serve(sockets=[listener]))

    def _with_middlewares(self) -> Any:
        app: Any = self._app
        for kind, args, kwargs in reversed(list(self._options.middlewares)):
            app = kind(app, *args, **kwargs)
        return app

    def _routes_changed(self, routes: tuple[Route, ...]) -> None:
        self._destinations = tuple(map(Destination, routes))

    async def until_it_ends(self) -> None:
        """Returns never: who waits for this learns of the process's death at once."""
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Finishes what is being answered, and closes."""
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.wrap_future(self._thread.run(self._until_served()))

    async def _until_served(self) -> None:
        if self._serving is not None:
            await self._serving

    def _destination(self, path: str) -> Destination | None:
        for destination in self._destinations:
            if destination.has(path):
                return destination
        return None

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        """Begins to answer a request that is there at once; returns False for one that is for no application, or needs a look at its
        headers."""
        scope = exchange.scope
        path = scope["path"]
        root = self._options.root_path
        if root:
            path = path.removeprefix(root)
        destination = None if path.startswith(OWN_PATHS) else self._destination(path)
        if destination is None:
            return False
        for name, _ in scope["headers"]:
            if name in FORWARDED:
                return False
        try:
            router = destination.router()
        except Exception:
            # Raised again on the other way, which has an answer for it: here it would be taken for an error of the client's.
            return False
        begun, metrics = perf_counter(), self._metrics
        route, method = destination.route, scope["method"]

        def over(status: str, lost: BaseException | None, request_id: str) -> None:
            metrics.ongoing -= 1
            metrics.ended(route.prefix, method, route.app, status, 1e3 * (perf_counter() - begun))
            self._say_lost(route, request_id, lost)

        metrics.ongoing += 1
        refusal, timeout_s = router.refusal(), self._options.request_timeout_s
        WholeRequest(exchange, route, router, refusal, self._pace, body, timeout_s, over)
        return True

    def _say_lost(self, route: Route, request_id: str, lost: BaseException | None) -> None:
        if lost is not None and self._log is not None:
            self._log.failed(f"request {request_id} to {route.ingress} of {route.app}", lost)

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        root = self._options.root_path
        if root:
            # uvicorn writes it before what was asked for.
            path = path.removeprefix(root)
        if path == "/-/healthz":
            await send_text(send, 200, "success")
            return
        if path == "/-/routes":
            await _json(send, {one.route.prefix: one.route.app for one in self._destinations})
            return
        destination = self._destination(path)
        route = destination.route if destination is not None else None
        if path == "/-/metrics" or (path == "/metrics" and (route is None or not route.prefix.startswith("/metrics"))):
            await send_text(send, 200, await self._metrics_page(), [(b"cache-control", b"no-store")])
            return
        begun, metrics = perf_counter(), self._metrics
        method = scope.get("method", "WEBSOCKET")
        if destination is not None and route is not None:
            router = destination.router()
            refusal = router.refusal()
            if refusal is not None:
                # Under load too high most requests end here: nothing is done for them that need not be.
                await self._pace.turn()
                await send_refusal(scope, send, refusal_of(refusal), id_of(scope))
                metrics.ended(route.prefix, method, route.app, "503", 1e3 * (perf_counter() - begun))
                return
            request = ProxiedRequest(route, router, scope, receive, send, self._options.request_timeout_s, self._pace)
            metrics.ongoing += 1
            try:
                await request.answer()
            finally:
                metrics.ongoing -= 1
                metrics.ended(route.prefix, method, route.app, request.status, 1e3 * (perf_counter() - begun))
                self._say_lost(route, request.request_id, request.lost)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": f"no application is served at {path}"})
        else:
            await send_text(send, 404, f"no application is served at {path}")
        metrics.ended("", method, "", "404", 1e3 * (perf_counter() - begun))

    async def metrics(self) -> list[Sample]:
        """Returns what it has counted, and its routers have."""
        return await asyncio.wrap_future(self._thread.run(self._samples()))

    async def _samples(self) -> list[Sample]:
        return self._metrics.samples({"node_id": shoal.get_runtime_context().get_node_id()}) + ROUTERS.samples("proxy")

    async def _metrics_page(self) -> str:
        return await metrics_page.page(ROUTERS.link().controller, await self._samples())


async def _json(send: Any, value: Any) -> None:
    body = json.dumps(value).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
