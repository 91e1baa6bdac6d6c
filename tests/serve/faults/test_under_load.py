"""Versions change and replicas die while users ask: none of them notices."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shoal import serve

Loads = Callable[[str, int], Any]


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1})
class Version:
    def __init__(self, version: int) -> None:
        self.version = version

    async def __call__(self, request: Any) -> dict[str, int]:
        return {"version": self.version, "pid": os.getpid()}


def redeploy(load: Loads, url: str, times: int, requests: int) -> None:
    serve.run(Version.bind(0), name="version", route_prefix="/version")
    with load(f"{url}/version", 8) as running:
        for number in range(1, times + 1):
            serve.run(Version.bind(number), name="version", route_prefix="/version")
            running.wait_for(requests // times)
    assert set(running.statuses) == {200}
    assert running.statuses.total() >= requests
    assert httpx.get(f"{url}/version").json()["version"] == times


def test_redeploys_fail_no_request(url: str, load: Loads) -> None:
    redeploy(load, url, times=4, requests=400)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_redeploys_fail_none_of_a_hundred_thousand(url: str, load: Loads) -> None:
    redeploy(load, url, times=20, requests=100_000)


def kill(load: Loads, url: str, times: int, pause_s: float) -> None:
    """Kills one replica after the other; each time, a new one has taken its place before the next dies."""
    handle = serve.run(Version.bind(0), name="version", route_prefix="/version")
    pid = handle.options(method_name="__call__")
    with load(f"{url}/version", 8) as running:
        for _ in range(times):
            os.kill(pid.remote(None).result()["pid"], signal.SIGKILL)
            running.wait_for(300)
            time.sleep(pause_s)
    failed = running.statuses.total() - running.statuses[200]
    assert failed <= running.statuses.total() / 1000, running.statuses


def test_replicas_that_die_fail_no_request_that_may_be_repeated(url: str, load: Loads) -> None:
    kill(load, url, times=4, pause_s=0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_replica_dies_every_second(url: str, load: Loads) -> None:
    kill(load, url, times=60, pause_s=1)


def test_a_constructor_that_raises_under_load_changes_nothing(url: str, load: Loads) -> None:
    @serve.deployment(name="Version", num_replicas=2, max_constructor_retry_count=2)
    class Broken:
        def __init__(self) -> None:
            raise ValueError("no weights")

    serve.run(Version.bind(1), name="version", route_prefix="/version")
    with load(f"{url}/version", 4) as running:
        with pytest.raises(serve.exceptions.DeployFailedError, match="no weights"):
            serve.run(Broken.bind(), name="version", route_prefix="/version")
        running.wait_for(100)
    assert set(running.statuses) == {200}
    assert httpx.get(f"{url}/version").json()["version"] == 1
