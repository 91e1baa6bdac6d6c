"""Replicas, proxies and the controller are killed; requests go on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve


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
    proxy = shoal.get_actor("SERVE_PROXY_ACTOR", namespace="serve")
    shoal.kill(proxy)
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        assert client.get(f"{url}/pids").status_code == 200
