"""Clients that do not read, that send too much, and that speak no HTTP: memory stays bounded, and nobody else notices."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve
from shoal.util.state import list_actors

CHUNK = b"x" * 100_000
CHUNKS = 2_000
MOST_UNREAD = 16_000_000
"""Of 200 MB; what the kernel keeps for two sockets is most of it."""
MOST_MEMORY = 40_000_000
"""That processes may have more than before."""
MOST_FOR_EACH = 5_000_000
"""For a stream that is not read: what has gathered in the replica, travels, and waits for the client."""


@serve.deployment(max_ongoing_requests=100)
class Large:
    def __init__(self) -> None:
        self.sent = 0
        self.may_read = asyncio.Event()

    async def __call__(self, request: Any) -> Any:
        from starlette.responses import StreamingResponse

        if request.method == "POST":
            await self.may_read.wait()
            total = 0
            async for part in request.stream():
                total += len(part)
            return str(total)
        if "large" not in request.query_params:
            return "fine"

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK
                self.sent += len(CHUNK)

        return StreamingResponse(chunks())

    async def how_much(self) -> int:
        return self.sent

    async def read(self) -> None:
        self.may_read.set()


@pytest.fixture(scope="module")
def large(url: str) -> Iterator[serve.DeploymentHandle]:
    yield serve.run(Large.bind(), name="large", route_prefix="/")
    serve.delete("large")


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def resident() -> int:
    """Bytes of memory of all actors' processes."""
    total = 0
    for actor in list_actors(filters=[("state", "=", "ALIVE")]):
        with open(f"/proc/{actor.pid}/status") as status:
            total += sum(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return total


def when_it_stands_still(number: Callable[[], int], handle: serve.DeploymentHandle) -> int:
    """Returns a number that has stayed the same while the replica answered a hundred calls, one after the other."""
    last, same = -1, 0
    while same < 100:
        handle.how_much.remote().result()
        now = number()
        last, same = now, same + 1 if now == last else 0
    return last


def test_who_does_not_read_costs_no_memory(url: str, large: serve.DeploymentHandle) -> None:
    before = resident()
    with connected(url) as client:
        client.sendall(b"GET /?large=1 HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        assert client.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
        sent = when_it_stands_still(lambda: large.how_much.remote().result(), large)
        assert sent < MOST_UNREAD
        assert resident() - before < MOST_MEMORY
        received = 0
        while part := client.recv(1 << 20):
            received += len(part)
    assert received > CHUNKS * len(CHUNK)


@pytest.mark.slow
def test_fifty_who_do_not_read_cost_little_memory(url: str, large: serve.DeploymentHandle) -> None:
    before, at_first = resident(), large.how_much.remote().result()
    clients = [connected(url) for _ in range(50)]
    for client in clients:
        client.sendall(b"GET /?large=1 HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        assert client.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    sent = when_it_stands_still(lambda: large.how_much.remote().result(), large) - at_first
    assert sent < 50 * MOST_UNREAD
    assert resident() - before < MOST_MEMORY + 50 * MOST_FOR_EACH
    assert httpx.get(url).text == "fine"
    for client in clients:
        client.close()
    assert when_it_stands_still(lambda: large.how_much.remote().result(), large) - at_first < 2 * sent


def test_a_body_that_is_not_read_costs_no_memory(url: str, large: serve.DeploymentHandle) -> None:
    before, sent = resident(), 0

    def send() -> None:
        nonlocal sent
        for _ in range(CHUNKS):
            client.sendall(CHUNK)
            sent += len(CHUNK)

    with connected(url) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 200000000\r\n\r\n")
        sender = threading.Thread(target=send)
        sender.start()
        assert when_it_stands_still(lambda: sent, large) < MOST_UNREAD
        assert resident() - before < MOST_MEMORY
        large.read.remote().result()
        sender.join()
        answer = b""
        while part := client.recv(1 << 20):
            answer += part
    assert answer.endswith(b"200000000")


def test_a_head_without_end_is_refused(url: str, large: serve.DeploymentHandle) -> None:
    with connected(url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\nx-long: ")
        answer = b""
        try:
            for _ in range(200):
                client.sendall(b"y" * 10_000)
        except OSError:
            pass  # It is refused while it is still being sent.
        try:
            answer = client.recv(1000)
        except OSError:
            return
    assert answer.startswith(b"HTTP/1.1 431 ")


FRAMES = (
    b"",
    b"\r\n\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
    b"POST /no HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    b"POST /no HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc",
    b"GET /%ff%00/..//\xc3\x28 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET //[::1 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nx-request-id: \xff\xfe\r\nserve_multiplexed_model_id: \xff\r\n\r\n",
)


def test_what_is_no_http_harms_nobody(url: str, large: serve.DeploymentHandle) -> None:
    proxy = {actor.pid for actor in list_actors(filters=[("name", "=", "SERVE_PROXY_ACTOR")])}
    chance = random.Random(7)
    frames = list(FRAMES)
    for _ in range(200):
        frame = bytearray(chance.choice(FRAMES[3:]))
        for _ in range(chance.randint(1, 4)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        frames.append(bytes(frame[: chance.randint(1, len(frame))]))
    with httpx.Client() as other:
        for number, frame in enumerate(frames):
            with connected(url) as client:
                client.sendall(frame)
                client.shutdown(socket.SHUT_WR)
                if number % 10 == 0:
                    assert other.get(url).text == "fine"
    assert {actor.pid for actor in list_actors(filters=[("name", "=", "SERVE_PROXY_ACTOR")])} == proxy
    assert shoal.get(shoal.get_actor("SERVE_PROXY_ACTOR", namespace="serve").metrics.remote())
    assert large.how_much.remote().result() >= 0
