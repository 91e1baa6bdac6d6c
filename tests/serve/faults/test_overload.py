"""More is asked than can be done: what is too much is told so at once, and what is taken on is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from shoal import serve

ONGOING, QUEUED = 4, 8


@serve.deployment(max_ongoing_requests=ONGOING, max_queued_requests=QUEUED, ray_actor_options={"num_cpus": 0.1})
class Work:
    """Counts what it was given, and the most that it had at a time."""

    def __init__(self) -> None:
        self.begun = self.done = self.now = self.most = 0

    async def __call__(self, request: Any) -> str:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        self.done += 1
        return "done"

    async def counts(self) -> tuple[int, int, int]:
        return self.begun, self.done, self.most


@pytest.fixture
def work(url: str) -> Iterator[serve.DeploymentHandle]:
    yield serve.run(Work.bind(), name="work", route_prefix="/work")
    serve.delete("work")


async def ask(url: str, users: int, wanted: int) -> tuple[Counter[int], set[str | None]]:
    """Users ask, again and again without a pause, until so many have been served. Returns the answers by status, and what those that were
    sent away were told."""
    statuses: Counter[int] = Counter()
    told: set[str | None] = set()

    async def user(session: aiohttp.ClientSession) -> None:
        while statuses[200] < wanted:
            async with session.get(url) as response:
                await response.read()
                statuses[response.status] += 1
                if response.status == 503:
                    told.add(response.headers.get("Retry-After"))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(user(session) for _ in range(users)))
    return statuses, told


def overload(url: str, work: serve.DeploymentHandle, wanted: int) -> None:
    room = ONGOING + QUEUED
    fitting, _ = asyncio.run(ask(f"{url}/work", room, wanted // 4))
    assert set(fitting) == {200}  # As many as there is room for: none is sent away.
    statuses, told = asyncio.run(ask(f"{url}/work", 10 * room, wanted))
    assert set(statuses) == {200, 503}
    assert told == {"1"}
    served = fitting[200] + statuses[200]
    # Those that were sent away never came to the replica, and it was never given more than it takes.
    assert work.counts.remote().result() == (served, served, ONGOING)
    # Nothing is left over: as many as there is room for are served again.
    after, _ = asyncio.run(ask(f"{url}/work", room, room))
    assert set(after) == {200}


def test_ten_times_as_many_as_fit(url: str, work: serve.DeploymentHandle) -> None:
    overload(url, work, wanted=300)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_times_as_many_as_fit_for_long(url: str, work: serve.DeploymentHandle) -> None:
    overload(url, work, wanted=6_000)
