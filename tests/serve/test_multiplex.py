"""Many models behind one deployment."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from shoal import serve
from shoal.serve.exceptions import InvalidArgumentError


class Loader:
    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.dropped: list[str] = []

    @serve.multiplexed(max_num_models_per_replica=2)
    async def model(self, model_id: str) -> Model:
        self.loaded.append(model_id)
        await asyncio.sleep(0)
        if model_id == "broken":
            raise OSError("no such model")
        return Model(model_id, self.dropped)


class Model:
    def __init__(self, name: str, dropped: list[str]) -> None:
        self.name = name
        self.dropped = dropped

    def __del__(self) -> None:
        self.dropped.append(self.name)


def test_those_asked_for_last_are_kept() -> None:
    loader = Loader()

    async def main() -> None:
        for name in "abacab":
            assert (await loader.model(name)).name == name

    asyncio.run(main())
    assert loader.loaded == ["a", "b", "c", "b"]
    assert loader.dropped[:2] == ["b", "c"]


def test_a_model_is_loaded_once_however_many_ask() -> None:
    loader = Loader()

    async def main() -> None:
        models = await asyncio.gather(*(loader.model("a") for _ in range(10)))
        assert len(set(map(id, models))) == 1

    asyncio.run(main())
    assert loader.loaded == ["a"]


def test_a_failure_is_not_kept() -> None:
    loader = Loader()

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(OSError, match="no such model"):
                await loader.model("broken")

    asyncio.run(main())
    assert loader.loaded == ["broken", "broken"]


def test_misuse_is_told_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match="max_num_models_per_replica is 0"):
        serve.multiplexed(max_num_models_per_replica=0)
    with pytest.raises(InvalidArgumentError, match="the model's id alone"):

        @serve.multiplexed
        async def two(first: str, second: str) -> None: ...


@serve.deployment(num_replicas=3, ray_actor_options={"num_cpus": 0.1})
class Models:
    def __init__(self) -> None:
        self.loads = 0

    @serve.multiplexed(max_num_models_per_replica=10)
    async def model(self, model_id: str) -> str:
        self.loads += 1
        return model_id

    async def used(self) -> tuple[str, str, int]:
        await self.model(serve.get_multiplexed_model_id())
        return serve.get_replica_context().replica_id, serve.get_multiplexed_model_id(), self.loads

    async def __call__(self, request: Any = None) -> str:
        return serve.get_replica_context().replica_id


@pytest.fixture(scope="module")
def models(url: str) -> serve.DeploymentHandle:
    return serve.run(Models.bind(), name="models", route_prefix="/models")


def test_a_model_stays_on_its_replica(models: serve.DeploymentHandle) -> None:
    where: dict[str, set[str]] = {}
    loads: dict[str, int] = {}
    for _ in range(5):
        for n in range(6):
            replica, model, count = models.options(multiplexed_model_id=f"m{n}").used.remote().result()
            where.setdefault(model, set()).add(replica)
            loads[replica] = count
    assert all(len(replicas) == 1 for replicas in where.values())
    assert sum(loads.values()) == 6


def test_a_session_stays_on_its_replica_however_it_comes(models: serve.DeploymentHandle, url: str) -> None:
    homes = [models.options(session_id=f"s{n}").remote().result() for n in range(20)]
    assert len(set(homes)) > 1
    with httpx.Client() as client:
        for n, home in enumerate(homes):
            assert models.options(session_id=f"s{n}").remote().result() == home
            for header in ("X-Session-Id", "x_session_id"):
                assert client.get(f"{url}/models", headers={header: f"s{n}"}).text == home


@pytest.mark.parametrize(
    "options", [{"session_id": 7}, {"multiplexed_model_id": 7}, {"method_name": 7}, {"stream": "yes"}]
)
def test_options_that_cannot_be_are_refused(models: serve.DeploymentHandle, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{next(iter(options))} is "):
        models.options(**options)
