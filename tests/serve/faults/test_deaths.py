"""Replicas, proxies and the controller are killed, and the lines between them are cut; requests go on."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve
from shoal.serve._internal.process.line_server import ServedLine


@serve.deployment(num_replicas=2, health_check_period_s=0.2)
class Pid:
    def __init__(self, version: int = 0) -> None:
        self.version = version

    async def __call__(self, request: Any) -> dict[str, int]:
        return {"pid": os.getpid(), "version": self.version}

    def pid(self) -> int:
        return os.getpid()


@pytest.fixture
def pids(url: str) -> Iterator[serve.DeploymentHandle]:
    yield serve.run(Pid.bind(), name="pids", route_prefix="/pids")
    serve.delete("pids")


def different_pids(handle: serve.DeploymentHandle, count: int) -> set[int]:
    """Asks until so many replicas have answered."""
    found: set[int] = set()
    while len(found) < count:
        try:
            found |= {response.result() for response in [handle.pid.remote() for _ in range(8)]}
        except serve.exceptions.ReplicaUnavailableError:
            continue
    return found


def test_a_killed_replica_is_replaced(url: str, pids: serve.DeploymentHandle) -> None:
    victim, other = different_pids(pids, 2)
    os.kill(victim, signal.SIGKILL)
    while victim in (now := different_pids(pids, 2)):
        pass
    assert other in now
    assert httpx.get(f"{url}/pids").status_code == 200


def test_redeploys_under_load_fail_no_request(url: str, pids: serve.DeploymentHandle) -> None:
    over = threading.Event()
    answers: list[int] = []

    def load() -> None:
        with httpx.Client() as client:
            while not over.is_set():
                answers.append(client.get(f"{url}/pids").status_code)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(1, 4):
        serve.run(Pid.bind(version), name="pids", route_prefix="/pids")
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
    assert httpx.get(f"{url}/pids").json()["version"] == 3


def test_a_killed_controller_takes_over_what_runs(url: str, pids: serve.DeploymentHandle) -> None:
    before = different_pids(pids, 2)
    controller = shoal.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    shoal.kill(controller, no_restart=False)
    assert serve.status().applications["pids"].status == "RUNNING"
    assert different_pids(pids, 2) == before
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    while victim in different_pids(pids, 2):
        pass
    serve.run(Pid.bind(7), name="pids", route_prefix="/pids")
    assert httpx.get(f"{url}/pids").json()["version"] == 7


def test_a_killed_proxy_listens_again(url: str, pids: serve.DeploymentHandle) -> None:
    proxy: Any = shoal.get_actor("SERVE_PROXY_ACTOR", namespace="serve")
    ended = os.pidfd_open(shoal.get(proxy.__ray_call__.remote(lambda self: os.getpid())))
    shoal.kill(proxy)
    select.select([ended], [], [])  # until then it may still take a connection, which ends with it
    os.close(ended)
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        assert client.get(f"{url}/pids").status_code == 200


@serve.deployment(max_ongoing_requests=20, ray_actor_options={"num_cpus": 0.1})
class Target:
    """Cuts its lines when it is asked to, by a call that comes another way."""

    def __init__(self) -> None:
        self.waiting = 0
        self.may_end = asyncio.Event()

    def _lines(self) -> list[ServedLine]:
        return [one for one in gc.get_objects() if isinstance(one, ServedLine) and one._writer is not None]

    async def lines(self) -> int:
        return len(self._lines())

    async def how_many_wait(self) -> int:
        return self.waiting

    async def cut(self) -> None:
        for line in self._lines():
            assert line._writer is not None
            line._writer._transport.abort()

    async def let_go(self) -> None:
        self.may_end.set()
        self.may_end = asyncio.Event()

    async def wait(self) -> str:
        self.waiting += 1
        try:
            await self.may_end.wait()
        finally:
            self.waiting -= 1
        return "done"

    async def __call__(self, request: Any) -> str:
        return "done" if request.query_params else await self.wait()


@serve.deployment(max_ongoing_requests=20, ray_actor_options={"num_cpus": 0.1})
class Caller:
    def __init__(self, target: serve.DeploymentHandle) -> None:
        self.target = target

    async def __call__(self, request: Any = None) -> str:
        answer: str = await self.target.wait.remote()
        return answer


@pytest.fixture(scope="module")
def served(url: str) -> tuple[str, serve.DeploymentHandle, serve.DeploymentHandle]:
    """Where HTTP reaches the target, the target, and who calls it. This program's own calls go by the actor."""
    target = Target.bind()
    serve.run(target, name="target", route_prefix="/target")
    caller = serve.run(Caller.bind(Target.bind()), name="caller", route_prefix=None)
    return f"{url}/target", serve.get_app_handle("target"), caller


def until_it_is(what: Any, count: int) -> None:
    while what.remote().result() != count:
        pass


def test_a_call_by_handle_is_done_once(served: Any) -> None:
    _, _, caller = served
    target = serve.get_deployment_handle("Target", "caller")
    first = caller.remote()
    until_it_is(target.how_many_wait, 1)
    target.let_go.remote().result()
    assert first.result() == "done"
    for _ in range(2):
        until_it_is(target.lines, 1)
        answers = [caller.remote() for _ in range(3)]
        until_it_is(target.how_many_wait, 3)
        target.cut.remote().result()
        until_it_is(target.lines, 1)
        # They go on all the time, and nobody has sent them again.
        assert target.how_many_wait.remote().result() == 3
        target.let_go.remote().result()
        assert [one.result() for one in answers] == ["done"] * 3


def asked(method: str, url: str, found: list[int]) -> threading.Thread:
    def ask() -> None:
        found.append(httpx.request(method, url, timeout=60).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_request_of_http_is_done_again_or_told(served: Any) -> None:
    url, target, _ = served
    got, posted = list[int](), list[int]()
    assert httpx.get(f"{url}?at=once").text == "done"
    until_it_is(target.lines, 1)
    threads = [asked("GET", url, got), asked("POST", url, posted)]
    until_it_is(target.how_many_wait, 2)
    target.cut.remote().result()
    threads[1].join()
    assert posted == [500]
    # It may have been in the way of the end of what was cut.
    until_it_is(target.how_many_wait, 1)
    target.let_go.remote().result()
    threads[0].join()
    assert got == [200]
    until_it_is(target.lines, 1)
