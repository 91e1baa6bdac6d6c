"""The clients of the benchmark of serving."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from serve_servers import CHUNK


@dataclass(frozen=True)
class Load:
    """What wrk found.

    Args:
        rate: requests a second that were answered well.
        half: median of their times, in ms.
        most: 99 % of their times are below, in ms.
    """

    rate: float
    half: float
    most: float


def wrk(
    url: str,
    connections: int,
    seconds: float,
    body_bytes: int = 0,
    method: str = "GET",
    may_shed: bool = False,
) -> Load:
    """Asks on so many connections without a pause. Raises RuntimeError where a request failed, or was sent away and may not be."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "{method}"\n')
        if method == "POST":
            script.write('wrk.headers["Content-Type"] = "application/json"\n')
            script.write(f'wrk.body = string.rep("x", {body_bytes})\n' if body_bytes else 'wrk.body = "{}"\n')
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout=20s"]
        done = subprocess.run([*command, "-s", script.name, url], capture_output=True, text=True, check=True)
    shed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if "Socket errors" in done.stdout or (shed and not may_shed):
        raise RuntimeError(f"requests failed: {done.stdout}")
    times = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", done.stdout))
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", done.stdout)
    assert total is not None, done.stdout
    good = int(total[1]) - (int(shed[1]) if shed else 0)
    return Load(
        good / (float(total[2]) * {"ms": 1e-3, "s": 1.0, "m": 60.0}[total[3]]), _ms(times["50"]), _ms(times["99"])
    )


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def load(url: str, name: str, seconds: float, method: str = "GET") -> dict[str, list[float]]:
    """Requests a second at 32 connections, and the median time at one."""
    wrk(url, 32, seconds / 2, method=method)
    rate = wrk(url, 32, seconds, method=method).rate
    return {name: [rate], f"{name}_p50": [wrk(url, 1, seconds, method=method).half]}


async def read_chunks(port: int, count: int, pause: float = 0.0) -> float:
    """Reads one stream to its end, whose server pauses before each chunk but the first. Returns the seconds until its first chunk."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    start = time.perf_counter()
    writer.write(
        f"GET /chunks?count={count}&pause={pause} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    first = await reader.readuntil(CHUNK)
    seconds = time.perf_counter() - start
    rest = await reader.read(-1)
    writer.close()
    if (first + rest).count(CHUNK) != count:
        raise RuntimeError("a stream is not whole")
    return seconds


async def per_second(call: Callable[[], Awaitable[Any]], users: int, seconds: float) -> float:
    """How many calls a second are answered, where so many are asked at a time; warmed up."""
    count, begins = 0, time.perf_counter() + seconds / 2
    ends = begins + seconds

    async def user() -> None:
        nonlocal count
        while (now := time.perf_counter()) < ends:
            await call()
            count += now >= begins

    await asyncio.gather(*(user() for _ in range(users)))
    return count / (time.perf_counter() - begins)


def asked_one_after_the_other(url: str, users: int, requests: int) -> float:
    """How many requests a second are answered, where so many users make that many in all."""
    parts, left = urlsplit(url), iter(range(requests))

    def user() -> None:
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        for _ in left:
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a request failed: {answer.status}")
        connection.close()

    with ThreadPoolExecutor(users) as threads:
        begins = time.perf_counter()
        for asked in [threads.submit(user) for _ in range(users)]:
            asked.result()
        return requests / (time.perf_counter() - begins)
