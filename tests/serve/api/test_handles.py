"""Responses as object refs of the core."""

from __future__ import annotations

import pytest

import shoal
from shoal import serve
from shoal.serve.exceptions import DeploymentUnavailableError


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Doubled:
    def __call__(self, value: int) -> int:
        return 2 * value


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Chained:
    def __init__(self, doubled: serve.DeploymentHandle) -> None:
        self.doubled = doubled

    async def __call__(self, value: int) -> int:
        ref = await self.doubled.remote(value)._to_object_ref()
        return int(await ref)


@shoal.remote(num_cpus=0)
def plus_one(value: int) -> int:
    return value + 1


def test_values_go_to_tasks_as_references() -> None:
    handle = serve.run(Chained.bind(Doubled.bind()), name="refs", route_prefix=None)
    assert handle.is_initialized
    assert shoal.get(plus_one.remote(handle.remote(4)._to_object_ref_sync())) == 9
    serve.delete("refs")


def test_a_deployment_that_never_was_is_told_and_found_once_it_is() -> None:
    serve.start(http_options={"port": 0})
    handle = serve.get_deployment_handle("Doubled", "later")
    with pytest.raises(DeploymentUnavailableError, match="Doubled of later is not there: there never was one"):
        handle.remote(4).result(timeout_s=30)
    serve.run(Doubled.bind(), name="later", route_prefix=None)
    assert handle.remote(4).result() == 8
    serve.delete("later")
