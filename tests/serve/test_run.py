"""Deployments over HTTP and by handle, composed, streamed, replaced and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from shoal import serve
from shoal.serve.exceptions import DeployFailedError, InvalidArgumentError


@serve.deployment
class Arithmetic:
    def __init__(self, increment: int = 1) -> None:
        self.increment = increment

    async def __call__(self, request: Any) -> dict[str, int]:
        return {"sum": int(request.query_params["x"]) + self.increment}

    def add(self, x: int) -> int:
        return x + self.increment

    async def count(self, n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    def count_in_thread(self, n: int) -> Iterator[int]:
        yield from range(n)

    def fail(self) -> None:
        raise KeyError("nothing of the kind")


@serve.deployment
class Doubled:
    def __init__(self, inner: serve.DeploymentHandle) -> None:
        self.inner = inner

    async def __call__(self, request: Any) -> dict[str, int]:
        return {"doubled": 2 * await self.inner.add.remote(int(request.query_params["x"]))}


@pytest.fixture
def arithmetic(url: str) -> Iterator[serve.DeploymentHandle]:
    yield serve.run(Arithmetic.bind(10), name="arithmetic", route_prefix="/arithmetic")
    serve.delete("arithmetic")


def test_http_reaches_the_application_of_its_prefix(url: str, arithmetic: serve.DeploymentHandle) -> None:
    assert httpx.get(f"{url}/arithmetic", params={"x": 1}).json() == {"sum": 11}
    assert httpx.get(f"{url}/elsewhere").status_code == 404
    assert httpx.get(f"{url}/arithmetical").status_code == 404


def test_handles_call_methods(arithmetic: serve.DeploymentHandle) -> None:
    assert arithmetic.add.remote(5).result() == 15
    assert arithmetic.add.remote(arithmetic.add.remote(5)).result() == 25


@pytest.mark.parametrize("method", ["count", "count_in_thread"])
def test_handles_stream(arithmetic: serve.DeploymentHandle, method: str) -> None:
    stream = arithmetic.options(method_name=method, stream=True)
    assert list(stream.remote(1000)) == list(range(1000))
    assert list(stream.remote(0)) == []


def test_errors_come_back_as_themselves(arithmetic: serve.DeploymentHandle) -> None:
    with pytest.raises(KeyError, match="nothing of the kind"):
        arithmetic.fail.remote().result()
    with pytest.raises(AttributeError, match=r"no method 'sub'; it has: add, count"):
        arithmetic.sub.remote(1).result()


def test_more_calls_than_a_replica_takes_wait_their_turn(arithmetic: serve.DeploymentHandle) -> None:
    responses = [arithmetic.add.remote(n) for n in range(100)]
    assert [response.result() for response in responses] == [n + 10 for n in range(100)]


def test_composed_deployments(url: str) -> None:
    serve.run(Doubled.bind(Arithmetic.bind(2)), name="composed", route_prefix="/composed")
    assert httpx.get(f"{url}/composed", params={"x": 3}).json() == {"doubled": 10}
    serve.delete("composed")
    assert httpx.get(f"{url}/composed", params={"x": 3}).status_code == 404


def test_a_new_version_takes_the_place_of_the_old_one(url: str, arithmetic: serve.DeploymentHandle) -> None:
    serve.run(Arithmetic.bind(100), name="arithmetic", route_prefix="/arithmetic")
    assert httpx.get(f"{url}/arithmetic", params={"x": 1}).json() == {"sum": 101}
    assert arithmetic.add.remote(1).result() == 101


def test_a_version_that_does_not_start_leaves_the_old_one(url: str, arithmetic: serve.DeploymentHandle) -> None:
    @serve.deployment(name="Arithmetic")
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no model here")

    with pytest.raises(DeployFailedError, match="no model here") as raised:
        serve.run(Broken.bind(), name="arithmetic", route_prefix="/arithmetic")
    first, *others = str(raised.value).splitlines()
    assert first == "the deployment Arithmetic of arithmetic could not be started: RuntimeError: no model here"
    assert any(__file__ in line for line in others), "its traceback is there"
    assert httpx.get(f"{url}/arithmetic", params={"x": 1}).json() == {"sum": 11}


def test_options_are_checked_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match=r"Arithmetic: num_replicas is 0"):
        Arithmetic.options(num_replicas=0)
    with pytest.raises(InvalidArgumentError, match="replicas"):
        Arithmetic.options(replicas=2)


def test_an_application_without_replicas_answers_at_once(url: str) -> None:
    scaling = {"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1}
    for number in range(5):
        application = Arithmetic.options(name=f"Idle{number}", autoscaling_config=scaling, num_replicas=None).bind(1)
        serve.run(application, name=f"idle{number}", route_prefix=f"/idle{number}")
        assert httpx.get(f"{url}/idle{number}?x=1").json() == {"sum": 2}
        serve.delete(f"idle{number}")
