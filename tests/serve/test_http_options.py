"""How HTTP is served: with TLS, behind a proxy that strips a prefix, and with middleware around everything."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.sync.client import connect

from shoal import serve
from shoal.serve.exceptions import InvalidArgumentError

app = FastAPI()


class Stamp:
    """A middleware of the user's own."""

    def __init__(self, app: ASGIApp, text: str) -> None:
        self.app, self.text = app, text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self.text.encode())]
            await send(message)

        await self.app(scope, receive, stamped)


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
@serve.ingress(app)
class Site:
    @app.get("/long")
    async def long(self) -> str:
        return "x" * 5000

    @app.get("/events")
    async def events(self) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    @app.websocket("/echo")
    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Serving begins anew, since how HTTP is served holds until it ends."""
    serve.shutdown()
    yield
    serve.shutdown()


def started(**options: Any) -> str:
    host, port = serve.start(http_options={"port": 0, **options})
    serve.run(Site.bind(), name="site", route_prefix="/site")
    return f"{host}:{port}"


def test_middleware_compresses_and_streams_go_through() -> None:
    address = started(middlewares=[Middleware(Stamp, text="outer"), Middleware(GZipMiddleware, minimum_size=1000)])
    answer = httpx.get(f"http://{address}/site/long")
    assert (answer.json(), answer.headers["content-encoding"]) == ("x" * 5000, "gzip")
    assert int(answer.headers["content-length"]) < 1000
    assert answer.headers["x-stamp"] == "outer"
    assert "content-encoding" not in httpx.get(f"http://{address}/site/long", headers={"accept-encoding": ""}).headers
    events = httpx.get(f"http://{address}/site/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert httpx.get(f"http://{address}/nowhere").headers["x-stamp"] == "outer"


def test_a_proxy_in_front_may_strip_a_prefix() -> None:
    address = started(root_path="/public")
    assert httpx.get(f"http://{address}/-/healthz").text == "success"
    assert httpx.get(f"http://{address}/site/long").status_code == 200
    assert "/public/site/openapi.json" in httpx.get(f"http://{address}/site/docs").text


@pytest.mark.parametrize("clients_are_checked", [False, True])
def test_tls(clients_are_checked: bool, tls_files: tuple[str, str]) -> None:
    key, certificate = tls_files
    checked = {"ssl_ca_certs": certificate} if clients_are_checked else {}
    address = started(ssl_keyfile=key, ssl_certfile=certificate, **checked)
    trusting = ssl.create_default_context(cafile=certificate)
    if clients_are_checked:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"https://{address}/site/long", verify=trusting)
        trusting.load_cert_chain(certificate, key)
    assert httpx.get(f"https://{address}/site/long", verify=trusting).json() == "x" * 5000
    with connect(f"wss://{address}/site/echo", ssl=trusting) as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{address}/site/long")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ssl_keyfile": "key.pem"}, "go together"),
        ({"root_path": "public/"}, "begins with '/'"),
        ({"port": 65536}, "port is 65536: should be less than or equal to 65535"),
        ({"middlewares": [Stamp]}, "give starlette.middleware.Middleware"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=expected):
        serve.start(http_options=options)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(OSError, match=r"the ssl_certfile .*missing\.pem"):
        serve.start(http_options={"port": 0, "ssl_keyfile": missing, "ssl_certfile": missing})


def test_a_port_that_is_taken_is_told_and_another_one_may_follow() -> None:
    serve.shutdown()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"nothing can listen on 127\.0\.0\.1:{taken}: .*; give another host or port"
        ):
            serve.start(http_options={"port": taken})
        _, port = serve.start(http_options={"port": 0})
        assert port != taken
    serve.shutdown()
