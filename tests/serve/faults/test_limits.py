"""Clients that go, queues that are full, and answers that take too long."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

import shoal
from shoal import serve


@serve.deployment(max_ongoing_requests=5000, ray_actor_options={"num_cpus": 0.1})
class Counting:
    """Counts who waits, and who was cancelled; who wants to know waits for that."""

    def __init__(self, next_one: serve.DeploymentHandle | None = None) -> None:
        self.next_one = next_one
        self.waiting = 0
        self.cancelled = 0
        self.order: list[str] = []
        self.changed = asyncio.Condition()
        self.release = asyncio.Event()

    async def __call__(self, request: Any = None) -> str:
        await self._add(waiting=1)
        if hasattr(request, "query_params"):
            self.order.append(request.query_params.get("number", ""))
        try:
            if self.next_one is not None:
                await self.next_one.remote()
            await self.release.wait()
        except asyncio.CancelledError:
            await self._add(cancelled=1)
            raise
        return "done"

    async def _add(self, waiting: int = 0, cancelled: int = 0) -> None:
        self.waiting += waiting
        self.cancelled += cancelled
        async with self.changed:
            self.changed.notify_all()

    async def until(self, waiting: int = 0, cancelled: int = 0) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.waiting >= waiting and self.cancelled >= cancelled)

    async def go(self) -> list[str]:
        self.release.set()
        return self.order


@pytest.fixture
def address(url: str) -> Iterator[tuple[str, int]]:
    host, _, port = url.removeprefix("http://").partition(":")
    yield host, int(port)
    for name in serve.status().applications:
        serve.delete(name)


def test_a_thousand_clients_that_go_cancel_a_thousand_requests(address: tuple[str, int]) -> None:
    handle = serve.run(Counting.bind(), name="counting", route_prefix="/counting")

    async def come_and_go(count: int) -> None:
        opened = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(count)))
        for _, writer in opened:
            writer.write(b"GET /counting HTTP/1.1\r\nHost: here\r\n\r\n")
        await handle.until.remote(waiting=count)
        for _, writer in opened:
            writer.close()
        await handle.until.remote(cancelled=count)

    asyncio.run(come_and_go(1000))


def test_a_client_that_goes_cancels_all_that_its_request_has_called(address: tuple[str, int]) -> None:
    last = Counting.options(name="Last").bind()
    middle = Counting.options(name="Middle").bind(last)
    serve.run(Counting.options(name="First").bind(middle), name="chain", route_prefix="/chain")
    handles = [serve.get_deployment_handle(name, "chain") for name in ("First", "Middle", "Last")]

    async def come_and_go() -> None:
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /chain HTTP/1.1\r\nHost: here\r\n\r\n")
        await handles[-1].until.remote(waiting=1)
        writer.close()
        for handle in handles:
            await handle.until.remote(cancelled=1)

    asyncio.run(come_and_go())


def test_a_handle_that_cancels_cancels_all_that_its_call_has_called(address: tuple[str, int]) -> None:
    last = Counting.options(name="Last").bind()
    handle = serve.run(Counting.options(name="First").bind(last), name="chain", route_prefix="/chain")
    last_handle = serve.get_deployment_handle("Last", "chain")
    response = handle.remote()
    last_handle.until.remote(waiting=1).result()
    response.cancel()
    with pytest.raises(serve.exceptions.RequestCancelledError):
        response.result()
    last_handle.until.remote(cancelled=1).result()
    handle.until.remote(cancelled=1).result()


def test_too_many_are_told_to_come_back_and_the_others_are_served_in_order(url: str, address: tuple[str, int]) -> None:
    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    class Gate:
        """Lets one through at a time, when it is told to."""

        def __init__(self) -> None:
            self.opened = asyncio.Event()

        async def wait(self) -> None:
            await self.opened.wait()

        async def open(self) -> None:
            self.opened.set()

    @serve.deployment(max_ongoing_requests=1, max_queued_requests=3, ray_actor_options={"num_cpus": 0.1})
    class OneAtATime:
        def __init__(self, gate: serve.DeploymentHandle) -> None:
            self.gate = gate
            self.order: list[str] = []

        async def __call__(self, request: Any) -> list[str]:
            self.order.append(request.query_params["number"])
            await self.gate.wait.remote()
            return list(self.order)

    serve.run(OneAtATime.bind(Gate.bind()), name="limited", route_prefix="/limited")
    gate = serve.get_deployment_handle("Gate", "limited")

    async def ask() -> list[tuple[int, str | None, list[str]]]:
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> tuple[int, str | None, list[str]]:
                async with session.get(f"{url}/limited?number={number}") as response:
                    order = await response.json() if response.status == 200 else []
                    return response.status, response.headers.get("Retry-After"), order

            asked = [asyncio.create_task(one(number)) for number in range(20)]
            # Those for whom there is no room know at once, while the others wait.
            for done in itertools.islice(asyncio.as_completed(asked), 16):
                status, _, _ = await done
                assert status == 503
            await gate.open.remote()
            return [await task for task in asked]

    answers = asyncio.run(ask())
    assert sorted(status for status, _, _ in answers) == [200] * 4 + [503] * 16
    assert {retry for status, retry, _ in answers if status == 503} == {"1"}
    served = [order for status, _, order in answers if status == 200]
    assert max(served, key=len) == sorted(max(served, key=len), key=int)


@pytest.fixture
def own_session() -> Iterator[str]:
    """Serving with a limit of time."""
    serve.shutdown()
    host, port = serve.start(http_options={"port": 0, "request_timeout_s": 0.3})
    yield f"http://{host}:{port}"
    serve.shutdown()


def test_what_takes_too_long_is_answered_and_cancelled(own_session: str) -> None:
    last = Counting.options(name="Last").bind()
    serve.run(Counting.options(name="First").bind(last))
    answer = httpx.get(own_session)
    assert answer.status_code == 408
    assert "0.3 s" in answer.text
    for name in ("First", "Last"):
        serve.get_deployment_handle(name, "default").until.remote(cancelled=1).result()
    assert shoal.is_initialized()


def test_a_call_that_is_cancelled_while_it_waits_never_runs(address: tuple[str, int]) -> None:
    handle = serve.run(Counting.options(max_ongoing_requests=2).bind(), name="counting", route_prefix="/counting")
    first = handle.remote()
    handle.until.remote(waiting=1).result()
    second = handle.remote()
    waiting = handle.remote()
    waiting.cancel()
    with pytest.raises(serve.exceptions.RequestCancelledError):
        waiting.result(timeout_s=10)
    first.cancel()
    for response in (first, second):
        response.cancel()
        with pytest.raises(serve.exceptions.RequestCancelledError):
            response.result(timeout_s=10)
    handle.until.remote(waiting=2, cancelled=2).result()


def test_serving_ends_though_clients_wait_in_a_queue(own_session: str) -> None:
    serve.run(Counting.options(max_ongoing_requests=1).bind())

    async def come_and_go() -> None:
        host, _, port = own_session.removeprefix("http://").partition(":")
        opened = await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(20)))
        for _, writer in opened:
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            await writer.drain()
        assert await opened[0][0].read(12) == b"HTTP/1.1 408"
        for _, writer in opened:
            writer.close()

    asyncio.run(come_and_go())
    serve.shutdown()
