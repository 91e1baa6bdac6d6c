"""The actor that answers HTTP: it finds the application by the path, and passes requests on to its ingress."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.controller_link import ControllerLink
from shoal.serve._internal.process.router import Call
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import DeploymentId, Route
from shoal.serve._internal.schema.requests import HttpRequest, RequestMeta, Streaming
from shoal.serve.config import HTTPOptions
from shoal.serve.exceptions import BackPressureError, DeploymentUnavailableError

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""Methods that may be repeated (RFC 9110, 9.2.2)."""
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


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Proxy:
    """One for each machine."""

    def __init__(self, options: HTTPOptions) -> None:
        self._options = options
        self._routes: tuple[Route, ...] = ()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, int]:
        """Listens. Returns the address. Raises OSError."""
        options = self._options
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only where the protocol is named: head and body would be 40 ms apart.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            http="httptools",
            loop="none",
            timeout_keep_alive=int(options.keep_alive_timeout_s),
            root_path=options.root_path,
            ssl_keyfile=options.ssl_keyfile,
            ssl_certfile=options.ssl_certfile,
            ssl_keyfile_password=options.ssl_keyfile_password,
            ssl_ca_certs=options.ssl_ca_certs,
        )
        server = self._server = Server(config)
        link: ControllerLink = ROUTERS.link()
        link.listen("routes", self._routes_changed)
        self._serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        return str(host), int(port)

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
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/-/healthz":
            await _text(send, 200, "success")
            return
        route = self._route(path)
        if route is None:
            await _text(send, 404, f"no application is served at {path}")
            return
        await self._pass_on(route, scope, receive, send)

    async def _pass_on(self, route: Route, scope: dict[str, Any], receive: Any, send: Any) -> None:
        first = await receive()
        call_id = CALL_IDS.next()
        passed = {key: scope[key] for key in PASSED_ON if key in scope}
        passed["root_path"] = scope.get("root_path", "") + route.prefix.rstrip("/")
        request = HttpRequest(passed, first.get("body", b""), first.get("more_body", False))
        meta = RequestMeta(call_id, call_id, route.app, route.prefix)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Streaming] = loop.create_future()

        def done(value: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_settle, answer, value, error)

        may_repeat = scope["method"] in IDEMPOTENT and not request.more_body
        call = Call(meta, (request,), {}, "http", done, may_repeat)
        router = ROUTERS.of(DeploymentId(route.app, route.ingress))
        router.submit(call)
        try:
            part = await answer
        except BackPressureError as error:
            await _text(send, 503, str(error), [(b"retry-after", b"1")])
            return
        except DeploymentUnavailableError as error:
            await _text(send, 503, str(error))
            return
        except Exception as error:
            await _text(send, 500, f"{type(error).__name__}: {error}")
            return
        assert call.replica is not None
        while True:
            for message in part.items:
                await send(message)
            if part.finished:
                return
            part = await call.replica.actor.next_items.remote(call_id)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


async def _text(send: Any, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
