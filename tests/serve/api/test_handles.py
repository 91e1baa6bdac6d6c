"""Responses as object refs of the core."""

from __future__ import annotations

import shoal
from shoal import serve


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
