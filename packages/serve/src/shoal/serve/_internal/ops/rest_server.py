"""Answers Ray's REST: configuration comes in, what is served goes out.

Whoever may deploy may run any code here. So who asks from beyond the loopback needs the token, on the loopback a token is asked for where
one was given, and pages in a browser are refused.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import platform
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import shoal
from shoal.serve._internal.ops.building import Builders
from shoal.serve._internal.ops.config_file import checked_document
from shoal.serve._internal.ops.deploying import deploy_config, deployed_config
from shoal.serve._internal.ops.instance_details import instance_details
from shoal.serve._internal.ops.rest_client import APPLICATIONS
from shoal.serve._internal.process.access_log import ServeLog
from shoal.serve._internal.process.controller_link import NAMESPACE, REST_SERVER
from shoal.serve._internal.process.limited_http import LimitedHttp
from shoal.serve._internal.process.listening import Server, is_loopback, listener_at
from shoal.serve.api import end_serving, status
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.schema import ServeInstanceDetails

MOST_BODY_BYTES = 16 * 2**20
LAST_ANSWERS_S = 5


def start_rest_server(host: str, port: int, token: str, folders: Sequence[str]) -> tuple[str, int]:
    """Starts answering, where nobody does yet. Returns where.

    Args:
        host: to listen on.
        port: 0 for any that is free.
        token: who asks has to have it; empty for everybody on this machine.
        folders: where modules of applications are, besides their environments'.

    Raises:
        InvalidArgumentError: (a ValueError) the host is beyond the loopback, and there is no token.
        OSError: the port is in use.
    """
    if not token and not is_loopback(host):
        raise InvalidArgumentError(
            f"--rest-host is {host!r}, which others reach, and whoever reaches it may run code here; set SHOAL_SERVE_TOKEN, "
            f"here and where commands are given, or listen on 127.0.0.1"
        )
    server = (
        shoal.remote(RestServer)
        .options(name=REST_SERVER, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0)
        .remote(host, port, token, tuple(folders))
    )
    try:
        address: tuple[str, int] = shoal.get(server.start.remote())
    except OSError:
        shoal.kill(server)
        raise
    return address


class RestServer:
    """An actor; the arguments are those of `start_rest_server`."""

    def __init__(self, host: str, port: int, token: str, folders: tuple[str, ...]) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._folders = folders
        self._address: tuple[str, int] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> tuple[str, int]:
        """Listens, where it does not yet. Returns where. Raises OSError."""
        if self._address is not None:
            return self._address
        if not is_loopback(self._host):
            ServeLog(None, {"proxy": "rest"}).warn(
                f"REST listens on {self._host}: all who have the token can run code here, and it travels in the clear"
            )
        listener = listener_at(self._host, self._port)
        config = uvicorn.Config(
            self._application(),
            log_config=None,
            access_log=False,
            lifespan="off",
            http=LimitedHttp,
            ws="none",
            loop="none",
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
        self._serving = asyncio.get_running_loop().create_task(Server(config).serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        self._address = str(host), int(port)
        return self._address

    def _application(self) -> Starlette:
        routes = [
            Route(APPLICATIONS, self._get, methods=["GET"]),
            Route(APPLICATIONS, self._put, methods=["PUT"]),
            Route(APPLICATIONS, self._delete, methods=["DELETE"]),
            Route("/api/ray/version", self._version, methods=["GET"]),
        ]
        return Starlette(routes=routes)

    def _refusal(self, request: Request) -> Response | None:
        """Returns what is answered to who may not ask."""
        headers = request.headers
        if "origin" in headers or "sec-fetch-site" in headers:
            return PlainTextResponse("pages in a browser may not ask", 403)
        if self._token:
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return PlainTextResponse(
                    "give the token that serving was started with: Authorization: Bearer …, or SHOAL_SERVE_TOKEN for commands",
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        elif not is_loopback((headers.get("host") or "localhost").rpartition(":")[0].strip("[]") or "localhost"):
            # A name that somebody else has made lead here.
            return PlainTextResponse("ask by the name localhost, or the address", 403)
        return None

    async def _get(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        return JSONResponse(await asyncio.to_thread(_details))

    async def _put(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BODY_BYTES:
                return PlainTextResponse(f"the configuration is larger than {MOST_BODY_BYTES} bytes", 413)
        try:
            config = checked_document(json.loads(body), "the configuration")
        except (InvalidArgumentError, ValueError, RecursionError) as error:
            return PlainTextResponse(str(error), 400)
        # Two configurations at a time would each delete what the other has.
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(deploy_config, config, self._folders, False, Builders())
            except (ServeError, OSError) as error:
                return PlainTextResponse(str(error), 400)
        return Response(status_code=200)

    async def _delete(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        async with self._one_at_a_time:
            await asyncio.to_thread(end_serving)
        return Response(status_code=200)

    async def _version(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        versions = {"version": "4", "ray_version": shoal.__version__, "python_version": platform.python_version()}
        return JSONResponse(versions)


def _details() -> dict[str, Any]:
    try:
        status()
    except ServeError:
        return ServeInstanceDetails().model_dump(mode="json")
    return instance_details(deployed_config()).model_dump(mode="json")
