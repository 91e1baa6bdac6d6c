"""All kinds of requests, for long: neither memory nor descriptors grow.

For half an hour: SHOAL_SOAK_SECONDS=1800 python -m pytest -s -m slow tests/serve/faults/test_soak.py
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

import shoal
from shoal import serve

SECONDS = float(os.environ.get("SHOAL_SOAK_SECONDS", "60"))
MORE_MEMORY = 25 * 2**20
"""Bytes that a process may have more at the end."""
MORE_FILES = 8
USERS = 6
BODY = b"x" * 100_000


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
class Twice:
    async def __call__(self, value: int) -> int:
        return 2 * value

    async def pid(self) -> int:
        return os.getpid()


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
class Soaked:
    def __init__(self, twice: serve.DeploymentHandle) -> None:
        self.twice = twice

    async def __call__(self, request: Any) -> Any:
        from starlette.responses import StreamingResponse

        kind = request.query_params["kind"]
        if kind == "body":
            return str(len(await request.body()))
        if kind == "chain":
            return str(await self.twice.remote(21))
        if kind == "stream":
            return StreamingResponse(self.parts(20))
        if kind == "gone":
            await asyncio.sleep(60)
        if kind == "error":
            raise ValueError("as asked for")
        return "fine"

    async def parts(self, count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"part"
            await asyncio.sleep(0)

    async def pid(self) -> int:
        return os.getpid()


async def one(session: aiohttp.ClientSession, url: str, kind: str) -> str:
    """Makes a request. Returns its status and answer; of one that is given up, that it was."""
    if kind == "gone":
        with suppress(TimeoutError):
            await session.get(url, params={"kind": kind}, timeout=aiohttp.ClientTimeout(total=0.05))
        return kind
    body = BODY if kind == "body" else None
    async with session.request("POST" if body else "GET", url, params={"kind": kind}, data=body) as response:
        return f"{response.status} {await response.text()}"


EXPECTED = {
    "plain": "200 fine",
    "body": f"200 {len(BODY)}",
    "chain": "200 42",
    "stream": "200 " + 20 * "part",
    "gone": "gone",
    "error": "500 Internal Server Error",
}


def size_of(pid: int) -> tuple[int, int]:
    """Returns how many files a process has open, and its memory in bytes."""
    with open(f"/proc/{pid}/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir(f"/proc/{pid}/fd")), pages * os.sysconf("SC_PAGE_SIZE")


def soak(url: str, seconds: float) -> None:
    serve.run(Soaked.bind(Twice.bind()), name="soaked", route_prefix="/soaked")
    actors = [shoal.get_actor(name, namespace="serve") for name in ("SERVE_PROXY_ACTOR", "SERVE_CONTROLLER_ACTOR")]
    asked: list[Any] = [actor.__ray_call__.remote(lambda self: os.getpid()) for actor in actors]
    replicas = [serve.get_deployment_handle(name, "soaked").pid.remote().result() for name in ("Soaked", "Twice")]
    pids = [*shoal.get(asked), *replicas]
    answers: Counter[str] = Counter()

    async def ask(until: float) -> None:
        async def user() -> None:
            while time.monotonic() < until:
                for kind, expected in EXPECTED.items():
                    assert await one(session, f"{url}/soaked", kind) == expected
                    answers[kind] += 1

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(user() for _ in range(USERS)))

    asyncio.run(ask(time.monotonic() + seconds / 4))
    before = [size_of(pid) for pid in pids]
    asyncio.run(ask(time.monotonic() + 3 * seconds / 4))
    after = [size_of(pid) for pid in pids]
    assert set(answers) == set(EXPECTED)
    names = ["proxy", "controller", "Soaked", "Twice"]
    print(f"{answers.total()} requests in {seconds:g} s; files and MiB after a quarter of it, and at its end:")
    for name, first, last in zip(names, before, after, strict=True):
        print(f"  {name}: {first[0]} and {first[1] / 2**20:.1f}, {last[0]} and {last[1] / 2**20:.1f}")
    for (files, memory), (files_then, memory_then) in zip(before, after, strict=True):
        assert files_then <= files + MORE_FILES
        assert memory_then <= memory + MORE_MEMORY
    serve.delete("soaked")


def test_nothing_grows(url: str) -> None:
    soak(url, 4)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_nothing_grows_in_the_long_run(url: str) -> None:
    soak(url, SECONDS)
