"""A thousand models in a hundred deployments."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from shoal import serve

DEPLOYMENTS, MODELS, KEPT = 100, 10, 3


class Model:
    """One of many; how many there are at a time is counted."""

    there = 0
    most = 0

    def __init__(self, name: str) -> None:
        self.name = name
        Model.there += 1
        Model.most = max(Model.most, Model.there)

    def __del__(self) -> None:
        Model.there -= 1


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.01})
class Holder:
    def __init__(self, number: int) -> None:
        self.number = number

    @serve.multiplexed(max_num_models_per_replica=KEPT)
    async def load(self, model_id: str) -> Model:
        return Model(f"{self.number}/{model_id}")

    async def __call__(self) -> str:
        return (await self.load(serve.get_multiplexed_model_id())).name

    async def most(self) -> int:
        return Model.most


@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.01})
class Front:
    def __init__(self, holders: list[serve.DeploymentHandle]) -> None:
        self.holders = holders

    async def __call__(self, request: Any) -> str:
        number = int(request.query_params["holder"])
        model_id = request.headers["serve_multiplexed_model_id"]
        answer: str = await self.holders[number].options(multiplexed_model_id=model_id).remote()
        return answer


async def ask_all(url: str) -> list[str]:
    limit = asyncio.Semaphore(50)
    async with aiohttp.ClientSession() as session:

        async def ask(holder: int, model: int) -> str:
            headers = {"serve_multiplexed_model_id": str(model)}
            async with limit, session.get(f"{url}/models?holder={holder}", headers=headers) as response:
                assert response.status == 200
                return await response.text()

        return await asyncio.gather(*(ask(holder, model) for model in range(MODELS) for holder in range(DEPLOYMENTS)))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_models_in_a_hundred_deployments_all_answer(url: str) -> None:
    holders = [Holder.options(name=f"Holder{number}").bind(number) for number in range(DEPLOYMENTS)]
    serve.run(Front.bind(holders), name="models", route_prefix="/models")
    for _ in range(2):
        found = asyncio.run(ask_all(url))
        assert found == [f"{holder}/{model}" for model in range(MODELS) for holder in range(DEPLOYMENTS)]
    most = [serve.get_deployment_handle(f"Holder{number}", "models").most.remote() for number in range(DEPLOYMENTS)]
    # The one that is loaded is there before the one that has to go for it is gone.
    assert max(response.result() for response in most) <= KEPT + 1
