"""Clients go at any moment: nothing is left of their requests."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from shoal import serve

ONGOING = 20


@serve.deployment(max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": 0.1})
class Open:
    """Counts requests that are open; who wants to know waits until there are none."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.changed = asyncio.Condition()

    async def __call__(self, request: Any) -> Any:
        from starlette.responses import StreamingResponse

        kind = request.query_params["kind"]
        if kind == "stream":
            return StreamingResponse(self.parts())
        self.begun += 1
        try:
            if kind == "upload":
                return str(len(await request.body()))
            await asyncio.sleep(0 if kind == "fast" else 60)
            return "done"
        finally:
            await self._end()

    async def parts(self) -> AsyncIterator[bytes]:
        self.begun += 1
        try:
            while True:
                yield b"part"
                await asyncio.sleep(0.01)
        finally:
            await self._end()

    async def _end(self) -> None:
        self.ended += 1
        async with self.changed:
            self.changed.notify_all()

    async def until_none(self) -> int:
        async with self.changed:
            await self.changed.wait_for(lambda: self.begun == self.ended)
        return self.begun


@pytest.fixture
def opened(url: str) -> Iterator[serve.DeploymentHandle]:
    yield serve.run(Open.bind(), name="open", route_prefix="/open")
    serve.delete("open")


HEADS = {
    "fast": b"GET /open?kind=fast HTTP/1.1\r\nhost: here\r\n\r\n",
    "slow": b"GET /open?kind=slow HTTP/1.1\r\nhost: here\r\n\r\n",
    "stream": b"GET /open?kind=stream HTTP/1.1\r\nhost: here\r\n\r\n",
    "upload": b"POST /open?kind=upload HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n" + 100_000 * b"x",
}
RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: closing sends a reset instead of an end."""


async def come_and_go(address: tuple[str, int], count: int) -> None:
    chance = random.Random(5)

    async def client(kind: str, stays_s: float, resets: bool) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEADS[kind])
        try:
            async with asyncio.timeout(stays_s):
                await reader.read(4096)
                await asyncio.sleep(stays_s)
        except TimeoutError:
            pass
        if resets:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort() if resets else writer.close()

    plans = [(chance.choice(list(HEADS)), chance.choice((0, 0.01, 0.1)), chance.random() < 0.5) for _ in range(count)]
    at_a_time = asyncio.Semaphore(50)

    async def in_turn(plan: tuple[str, float, bool]) -> None:
        async with at_a_time:
            await client(*plan)

    await asyncio.gather(*map(in_turn, plans))


def nothing_is_left(url: str, opened: serve.DeploymentHandle, count: int) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    asyncio.run(come_and_go((host, int(port)), count))
    # All of its places are free again: as many as there are answer at once.
    assert opened.until_none.remote().result() > 0
    with httpx.Client() as client:
        assert {client.get(f"{url}/open?kind=fast").text for _ in range(ONGOING)} == {"done"}
    assert opened.until_none.remote().result() >= ONGOING


def test_clients_that_go_at_any_moment(url: str, opened: serve.DeploymentHandle) -> None:
    nothing_is_left(url, opened, 200)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_thousands_of_clients_that_go_at_any_moment(url: str, opened: serve.DeploymentHandle) -> None:
    nothing_is_left(url, opened, 5_000)
