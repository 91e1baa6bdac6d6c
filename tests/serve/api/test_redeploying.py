"""Applications change while they serve: what is in use stays until it is not, and what does not work is not used."""

from __future__ import annotations

import os
import threading
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve
from shoal.exceptions import ActorDiedError
from shoal.serve.exceptions import DeployFailedError, InvalidArgumentError

SMALL: dict[str, Any] = {"num_cpus": 0.1}


@shoal.remote(num_cpus=0)
class Gate:
    """What holds code back until it is opened, and tells who has come."""

    def __init__(self) -> None:
        import asyncio

        self.opened, self.arrived = asyncio.Event(), asyncio.Event()

    async def pass_through(self) -> None:
        self.arrived.set()
        await self.opened.wait()

    async def arrival(self) -> None:
        await self.arrived.wait()

    def open(self) -> None:
        self.opened.set()


@serve.deployment(ray_actor_options=SMALL)
class Doubler:
    async def __call__(self, number: int) -> int:
        return 2 * number


@serve.deployment(ray_actor_options=SMALL)
class Front:
    """Calls another deployment once it is let through."""

    def __init__(self, other: Any, gate: Any) -> None:
        self.other, self.gate = other, gate

    async def __call__(self, request: Any) -> int:
        await self.gate.pass_through.remote()
        answer: int = await self.other.remote(21)
        return answer


@serve.deployment(ray_actor_options=SMALL)
class Alone:
    async def __call__(self, request: Any) -> str:
        return "alone"


@serve.deployment(ray_actor_options=SMALL)
class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no weights")


@serve.deployment(ray_actor_options=SMALL)
class Configured:
    def reconfigure(self, config: dict[str, Any]) -> None:
        if config.get("bad"):
            raise ValueError("no such model")
        if config.get("lost"):
            raise ActorDiedError(error_msg="the actor that has the weights")
        self.config = config

    def __call__(self) -> Any:
        return self.config, os.getpid()


@serve.deployment(ray_actor_options=SMALL)
class Waits:
    def __init__(self, gate: Any) -> None:
        shoal.get(gate.pass_through.remote())


def in_thread(function: Any) -> tuple[threading.Thread, list[Any]]:
    """Calls a function on a thread. Returns the thread, and what will be in a list: the value, or what was raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_a_deployment_that_is_left_out_ends_when_nobody_uses_it_any_more(url: str) -> None:
    gate = Gate.remote()
    serve.run(Front.bind(Doubler.bind(), gate), name="shop", route_prefix="/shop")
    request, answers = in_thread(lambda: httpx.get(f"{url}/shop", timeout=30).json())
    shoal.get(gate.arrival.remote())
    serve.run(Alone.bind(), name="shop", route_prefix="/shop")
    assert httpx.get(f"{url}/shop").text == "alone"
    shoal.get(gate.open.remote())
    request.join()
    assert answers == [42]
    serve.delete("shop")


def test_what_is_deleted_answers_what_it_has(url: str) -> None:
    gate = Gate.remote()
    serve.run(Front.bind(Doubler.bind(), gate), name="shop", route_prefix="/shop")
    request, answers = in_thread(lambda: httpx.get(f"{url}/shop", timeout=30).json())
    shoal.get(gate.arrival.remote())
    end, _ = in_thread(lambda: serve.delete("shop"))
    while httpx.get(f"{url}/-/routes").json():
        pass
    shoal.get(gate.open.remote())
    request.join()
    end.join()
    assert answers == [42]
    assert httpx.get(f"{url}/shop").status_code == 404


def test_another_ingress_answers_only_once_it_runs(url: str) -> None:
    serve.run(Alone.bind(), name="shop", route_prefix="/shop")
    with pytest.raises(DeployFailedError, match="no weights"):
        serve.run(Broken.bind(), name="shop", route_prefix="/other")
    assert httpx.get(f"{url}/shop").text == "alone"
    assert httpx.get(f"{url}/other").status_code == 404
    shown = serve.status().applications["shop"]
    assert (shown.status, list(shown.deployments)) == ("DEPLOY_FAILED", ["Alone"])
    assert "no weights" in shown.message
    serve.delete("shop")


MOST: dict[str, Any] = {"num_cpus": 5}
"""Of the CPUs: two of these do not fit at a time."""


def test_what_is_left_out_makes_room_where_there_is_too_little(url: str) -> None:
    for name in ("First", "Second"):
        deployment = Alone.options(name=name, ray_actor_options=MOST)
        serve.run(deployment.bind(), name="shop", route_prefix="/shop")
        assert list(serve.status().applications["shop"].deployments) == [name]
        assert httpx.get(f"{url}/shop").text == "alone"
    serve.delete("shop")


@pytest.mark.slow
def test_what_made_room_comes_back_where_the_new_version_does_not_start(url: str) -> None:
    serve.run(Alone.options(ray_actor_options=MOST).bind(), name="shop", route_prefix="/shop")
    with pytest.raises(DeployFailedError, match="no weights"):
        serve.run(Broken.options(ray_actor_options=MOST).bind(), name="shop", route_prefix="/shop")
    assert httpx.get(f"{url}/shop", timeout=30).text == "alone"
    assert list(serve.status().applications["shop"].deployments) == ["Alone"]
    serve.delete("shop")


def test_user_config_is_there_when_run_returns_and_what_is_refused_is_taken_back() -> None:
    def deployed(config: Any) -> serve.DeploymentHandle:
        return serve.run(Configured.options(user_config=config).bind(), name="configured", route_prefix=None)

    first, pid = deployed({"model": 1}).remote().result()
    assert first == {"model": 1}
    assert deployed({"model": 2}).remote().result() == ({"model": 2}, pid)
    with pytest.raises(DeployFailedError, match="no such model"):
        deployed({"bad": True})
    with pytest.raises(DeployFailedError, match="the actor that has the weights"):
        deployed({"lost": True})
    handle = serve.get_app_handle("configured")
    assert handle.remote().result() == ({"model": 2}, pid)
    with pytest.raises(InvalidArgumentError, match=r"reconfigure\(self, user_config\)"):
        serve.run(Alone.options(user_config={"a": 1}).bind(), name="configured", route_prefix=None)
    serve.delete("configured")


def test_who_waits_for_a_version_that_another_one_replaces_is_told() -> None:
    gate = Gate.remote()
    deploying, outcome = in_thread(lambda: serve.run(Waits.bind(gate), name="slow", route_prefix=None))
    shoal.get(gate.arrival.remote())
    serve.run(Alone.bind(), name="slow", route_prefix=None)
    deploying.join()
    assert "deployed anew" in str(outcome[0])
    deploying, outcome = in_thread(lambda: serve.run(Waits.bind(gate), name="slow", route_prefix=None))
    while serve.status().applications["slow"].status != "DEPLOYING":
        pass
    serve.delete("slow")
    deploying.join()
    assert "was deleted" in str(outcome[0])


def test_a_process_hears_that_another_one_ended_serving() -> None:
    @shoal.remote(num_cpus=0)
    def end() -> None:
        serve.shutdown()

    handle = serve.run(Alone.bind(), name="ended", route_prefix=None)
    handle.remote(None).result()
    shoal.get(end.remote())
    with pytest.raises(serve.exceptions.ServeError):
        handle.remote(None).result(timeout_s=30)
    serve.start(http_options={"port": 0})
    serve.run(Alone.bind(), name="ended", route_prefix=None)
    handle.remote(None).result(timeout_s=30)
    serve.delete("ended")
