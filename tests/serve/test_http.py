"""HTTP as clients see it: FastAPI, bodies, streams, WebSockets, clients that go."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets.sync.client
from fastapi import APIRouter, FastAPI, Request, UploadFile, WebSocket
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from shoal import serve
from shoal.serve._internal.process.user_code import ASGI_APP
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.ingress import servable


class Item(BaseModel):
    name: str
    price: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"opened": "yes"}


app = FastAPI(lifespan=lifespan)
routed, nested = APIRouter(prefix="/routed"), APIRouter(prefix="/nested")


@app.get("/plain/{number}")
def plain(number: int) -> int:
    return number


@serve.deployment(max_ongoing_requests=20)
@serve.ingress(app)
class Shop:
    def __init__(self, discount: float) -> None:
        self.discount = discount
        self.cancelled = 0
        self.waiting = 0

    @app.post("/items")
    def price(self, item: Item) -> float:
        return item.price - self.discount

    @app.get("/state")
    async def state(self, request: Request) -> dict[str, Any]:
        return {"opened": request.state.opened, "cancelled": self.cancelled, "waiting": self.waiting}

    @app.post("/upload")
    async def upload(self, file: UploadFile) -> int:
        return len(await file.read())

    @app.post("/body")
    async def body(self, request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @app.get("/bytes/{count}")
    async def some_bytes(self, count: int) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, count, 1000):
                yield b"x" * min(1000, count - start)

        return StreamingResponse(parts())

    @app.get("/forever")
    async def forever(self) -> None:
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    @app.get("/fail")
    async def fail(self) -> None:
        raise RuntimeError("a secret")

    @app.api_route("/headers/{kind}", methods=["GET", "HEAD"])
    async def headers(self, kind: str, request: Request) -> Response:
        response = Response(b"done" if kind != "none" else b"", 200 if kind != "none" else 204)
        if kind == "chunks":
            del response.headers["content-length"]
        elif kind == "close":
            response.headers["connection"] = "close"
        elif kind == "split":
            response.raw_headers.append((b"x-split", b"a\r\nx-stolen: yes"))
        elif kind == "short":
            response.headers["content-length"] = "5"
        elif kind == "forwarded":
            assert request.client is not None
            response.headers["x-client"] = request.client.host
        return response

    @routed.get("/{number}")
    async def by_router(self, number: float) -> float:
        return number - self.discount

    @nested.get("/{number}")
    def by_router_of_router(self, number: float) -> float:
        return number - 2 * self.discount

    @app.websocket("/echo")
    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(f"{text} - {self.discount}")


routed.include_router(nested)
app.include_router(routed)


@pytest.fixture(scope="module")
def shop(url: str) -> str:
    serve.run(Shop.bind(0.5), name="shop", route_prefix="/shop")
    return f"{url}/shop"


def test_routes_that_are_methods_and_those_that_are_not(shop: str) -> None:
    assert httpx.post(f"{shop}/items", json={"name": "tea", "price": 2.5}).json() == 2.0
    assert httpx.get(f"{shop}/plain/3").json() == 3


def test_routes_of_routers_that_are_included_after_the_class(shop: str) -> None:
    assert httpx.get(f"{shop}/routed/3").json() == 2.5
    assert httpx.get(f"{shop}/routed/nested/3").json() == 2.0
    schema = httpx.get(f"{shop}/openapi.json").json()
    for path in ("/routed/{number}", "/routed/nested/{number}"):
        assert [one["name"] for one in schema["paths"][path]["get"]["parameters"]] == ["number"]


@pytest.mark.parametrize("is_built", [False, True])
def test_routes_of_applications_that_are_mounted_and_of_builders(is_built: bool) -> None:
    outer, inner = FastAPI(), FastAPI(openapi_url=None)
    outer.mount("/inner", inner)

    class Api:
        @inner.get("/")
        async def get(self) -> None: ...

    serve.ingress((lambda: outer) if is_built else outer)(Api)
    getattr(Api, ASGI_APP).make(Api())
    (route,) = inner.routes
    assert not route.dependant.query_params  # type: ignore[attr-defined]
    (injected,) = route.dependant.dependencies  # type: ignore[attr-defined]
    assert injected.call is servable


def test_an_application_needs_no_class() -> None:
    kind = serve.ingress(app)()
    assert kind is not serve.ingress(app)()
    bound = kind(1, name="a")
    assert (bound.args, bound.kwargs) == ((1,), {"name": "a"})
    assert getattr(bound, ASGI_APP).make(bound) is app


def test_an_application_may_be_made_by_the_object() -> None:
    @serve.ingress()
    class Late:
        def __serve_build_asgi_app__(self) -> FastAPI:
            return app

    late = Late()
    assert getattr(late, ASGI_APP).make(late) is app
    with pytest.raises(InvalidArgumentError, match="__serve_build_asgi_app__"):
        serve.ingress()(type("Nothing", (), {}))


def test_fastapi_checks_what_comes_in(shop: str) -> None:
    answer = httpx.post(f"{shop}/items", json={"name": "tea", "price": "much"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "price"]


def test_the_page_of_the_interface_works_behind_a_prefix(shop: str) -> None:
    assert "/shop/openapi.json" in httpx.get(f"{shop}/docs").text
    schema = httpx.get(f"{shop}/openapi.json").json()
    assert schema["servers"] == [{"url": "/shop"}]
    assert set(schema["paths"]) >= {"/items", "/plain/{number}"}
    names = [one["name"] for one in schema["paths"]["/items"]["post"].get("parameters", [])]
    assert "self" not in names


def test_the_application_was_started(shop: str) -> None:
    assert httpx.get(f"{shop}/state").json()["opened"] == "yes"


def test_uploads_and_bodies_in_pieces(shop: str) -> None:
    assert httpx.post(f"{shop}/upload", files={"file": b"y" * 3_000_000}).json() == 3_000_000

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"z" * 10_000

    assert httpx.post(f"{shop}/body", content=pieces()).json() == 500_000


@pytest.mark.parametrize("count", [0, 1, 999, 1_000_000])
def test_streams(shop: str, count: int) -> None:
    assert len(httpx.get(f"{shop}/bytes/{count}").content) == count


def test_websockets(shop: str) -> None:
    with websockets.sync.client.connect(f"{shop.replace('http', 'ws')}/echo") as socket:
        for word in ("one", "two"):
            socket.send(word)
            assert socket.recv() == f"{word} - 0.5"


def test_a_websocket_to_nowhere_is_refused(url: str) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus):
        websockets.sync.client.connect(f"{url.replace('http', 'ws')}/nowhere")


def test_errors_tell_no_secrets_and_have_an_id(shop: str) -> None:
    answer = httpx.get(f"{shop}/fail", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    assert "secret" not in answer.text


def state(shop: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{shop}/state").json()
    return answer


def test_a_client_that_goes_cancels_the_handler(shop: str) -> None:
    host, _, port = shop.removeprefix("http://").partition("/")[0].partition(":")
    before = state(shop)["cancelled"]
    for _ in range(5):
        client = socket.create_connection((host, int(port)))
        waiting = state(shop)["waiting"]
        client.sendall(f"GET /shop/forever HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while state(shop)["waiting"] == waiting:
            pass
        client.close()
    while state(shop)["cancelled"] < before + 5:
        pass


def asked_as_written(shop: str, text: str, answers: int) -> bytes:
    """What comes back on one connection, which is read until it ends or has so many answers, each with a 'done' as its body."""
    host, _, port = shop.removeprefix("http://").partition("/")[0].partition(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(text.replace("\n", "\r\n").encode())
        while found.count(b"HTTP/1.1 ") < answers or not found.endswith(b"done"):
            part = client.recv(65536)
            if not part:
                break
            found += part
    return found


def test_requests_that_come_together_are_answered_in_their_order(shop: str) -> None:
    one, other = "GET /shop/headers/{} HTTP/1.1\nHost: x\nX-Request-ID: {}\n\n".format, "x-request-id: {}".format
    found = asked_as_written(shop, one("length", 1) + one("chunks", 2) + one("length", 3) + one("length", 4), 4)
    assert found.count(b"200 OK") == 4
    places = [found.index(other(number).encode()) for number in (1, 2, 3, 4)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("head", "expected", "ends"),
    [
        ("GET /shop/headers/length HTTP/1.1\nHost: x\nConnection: close", b"connection: close", True),
        ("GET /shop/headers/length HTTP/1.0\nHost: x", b"connection: close", True),
        ("GET /shop/headers/length HTTP/1.1\nHost: x", b"content-length: 4", False),
        ("GET /shop/headers/chunks HTTP/1.1\nHost: x\nConnection: close", b"4\r\ndone\r\n0", True),
        ("HEAD /shop/headers/length HTTP/1.1\nHost: x\nConnection: close", b"content-length: 4", True),
        ("GET /shop/headers/close HTTP/1.1\nHost: x", b"connection: close", True),
        ("GET /shop/headers/split HTTP/1.1\nHost: x\nConnection: close", b"", True),
        ("GET /shop/headers/short HTTP/1.1\nHost: x", b"content-length: 5", True),
        ("GET /shop/headers/none HTTP/1.1\nHost: x\nConnection: close", b"204 No Content", True),
        ("GET /shop/headers/forwarded HTTP/1.1\nHost: x\nX-Forwarded-For: 1.2.3.4", b"x-client: 1.2.3.4", False),
    ],
)
def test_heads_of_answers(shop: str, head: str, expected: bytes, ends: bool) -> None:
    found = asked_as_written(shop, f"{head}\n\n", 10 if ends else 1)
    assert expected in found.lower() or expected in found
    assert b"stolen" not in found
    if head.startswith("HEAD"):
        assert not found.endswith(b"done")


def test_what_is_there_besides_applications(url: str, shop: str) -> None:
    assert httpx.get(f"{url}/-/healthz").text == "success"
    assert json.loads(httpx.get(f"{url}/-/routes").text)["/shop"] == "shop"


def test_any_asgi_application_and_builders(url: str) -> None:
    async def hello(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    def build() -> Any:
        return hello

    for number, given in enumerate((hello, build)):

        @serve.deployment(name=f"asgi{number}")
        @serve.ingress(given)
        class Plain: ...

        serve.run(Plain.bind(), name=f"asgi{number}", route_prefix=f"/asgi{number}")
        answer = httpx.get(f"{url}/asgi{number}/x")
        assert (answer.status_code, answer.text) == (201, f"/asgi{number}/x")
        serve.delete(f"asgi{number}")


def test_misuse_is_told_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match="no class"):

        @serve.ingress(app)
        def function() -> None: ...

    with pytest.raises(InvalidArgumentError, match="ASGI application"):
        serve.ingress(3)
