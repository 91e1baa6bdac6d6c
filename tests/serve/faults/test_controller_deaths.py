"""The controller dies in the middle of something; the one after it finishes that."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve
from shoal.serve.exceptions import DeployFailedError

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
class Model:
    async def __call__(self, request: Any) -> str:
        return "old"


@serve.deployment(name="Model", ray_actor_options=SMALL)
class Broken:
    def __init__(self, gate: Any) -> None:
        shoal.get(gate.pass_through.remote())
        raise RuntimeError("no weights")


@serve.deployment(ray_actor_options=SMALL)
class Slow:
    def __init__(self, gate: Any) -> None:
        self.gate = gate

    async def __call__(self, request: Any) -> str:
        await self.gate.pass_through.remote()
        return "done"


def kill_the_controller() -> None:
    shoal.kill(shoal.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve"), no_restart=False)


def replicas() -> list[str]:
    named: Any = shoal.util.list_named_actors(all_namespaces=True)
    return [one["name"] for one in named if one["name"].startswith("SERVE_REPLICA::")]


def test_a_version_that_does_not_start_still_gives_way_to_the_one_before(url: str) -> None:
    gate = Gate.remote()
    serve.run(Model.bind(), name="model", route_prefix="/model")
    errors: list[Exception] = []

    def deploy() -> None:
        with pytest.raises(DeployFailedError, match="no weights") as caught:
            serve.run(Broken.bind(gate), name="model", route_prefix="/model")
        errors.append(caught.value)

    deploying = threading.Thread(target=deploy)
    deploying.start()
    shoal.get(gate.arrival.remote())
    kill_the_controller()
    assert httpx.get(f"{url}/model").text == "old"
    shoal.get(gate.open.remote())
    deploying.join()
    assert len(errors) == 1
    assert httpx.get(f"{url}/model").text == "old"
    assert "no weights" in serve.status().applications["model"].message
    serve.delete("model")
    while replicas():
        pass


def test_what_was_being_deleted_answers_what_it_has_and_ends(url: str) -> None:
    gate = Gate.remote()
    serve.run(Slow.bind(gate), name="slow", route_prefix="/slow")
    answers: list[str] = []
    request = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=30).text))
    request.start()
    shoal.get(gate.arrival.remote())
    ending = threading.Thread(target=lambda: serve.delete("slow"))
    ending.start()
    while httpx.get(f"{url}/-/routes").json():
        pass
    kill_the_controller()
    assert serve.status().applications == {}
    shoal.get(gate.open.remote())
    request.join()
    ending.join()
    assert answers == ["done"]
    while replicas():
        pass
