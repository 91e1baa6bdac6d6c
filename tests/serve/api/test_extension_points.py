"""Routers and autoscaling policies of the user's, in real processes."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

import pytest

from shoal import serve
from shoal.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.request_router import PendingRequest, RequestRouter, RunningReplica


class ByKey(RequestRouter):
    """Sends equal keys to one replica; refuses what is negative."""

    def initialize_state(self, offset: int = 0, **kwargs: Any) -> None:
        self.offset = offset

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        assert pending_request is not None
        key = pending_request.args[0]
        if key < 0:
            raise ValueError("keys are not negative")
        ordered = sorted(candidate_replicas, key=lambda one: one.replica_id.unique_id)
        return [[ordered[(key + self.offset) % len(ordered)]]]


@serve.deployment(
    num_replicas=2,
    max_ongoing_requests=2,
    ray_actor_options={"num_cpus": 0},
    request_router_config=RequestRouterConfig(request_router_class=ByKey, request_router_kwargs={"offset": 1}),
)
class Pid:
    def __call__(self, key: int) -> int:
        return os.getpid()


def test_a_router_of_the_users_chooses() -> None:
    handle = serve.run(Pid.bind(), name="routed", route_prefix="/routed")
    while handle.remote(0).result() == handle.remote(1).result():
        pass  # Until this process has heard of both replicas.
    even = {response.result() for response in [handle.remote(key) for key in range(0, 40, 2)]}
    odd = {response.result() for response in [handle.remote(key) for key in range(1, 41, 2)]}
    assert len(even) == len(odd) == 1
    assert even != odd
    with pytest.raises(ServeError, match="keys are not negative"):
        handle.remote(-1).result()
    assert handle.remote(0).result() in even

    # Without it, the default chooses again.
    serve.run(Pid.options(request_router_config=None).bind(), name="routed", route_prefix="/routed")
    found: set[int] = set()
    while len(found) < 2:
        with contextlib.suppress(ServeError):  # Until this process has heard of it.
            found |= {response.result() for response in [handle.remote(-1) for _ in range(8)]}
    serve.delete("routed")


def test_routers_that_are_none_are_refused() -> None:
    for wrong in (int, "nowhere:Router"):
        with pytest.raises(InvalidArgumentError, match="deployment Pid: "):
            serve.run(Pid.options(request_router_config={"request_router_class": wrong}).bind(), name="wrong")
    with pytest.raises(
        InvalidArgumentError, match=r"request_router_config\.request_router_class is 'Router': give a class"
    ):
        Pid.options(request_router_config={"request_router_class": "Router"})


def as_many_as_asked_for(context: Any) -> tuple[int, dict[str, Any]]:
    return (3 if context.total_num_requests else 1), {}


@serve.deployment(
    max_ongoing_requests=100,
    ray_actor_options={"num_cpus": 0},
    autoscaling_config=AutoscalingConfig(
        max_replicas=5,
        metrics_interval_s=0.1,
        look_back_period_s=0.2,
        upscale_delay_s=0,
        policy=AutoscalingPolicy(policy_function=as_many_as_asked_for),
    ),
)
class Held:
    def __init__(self) -> None:
        self.ids: set[str] = set()

    def __call__(self) -> int:
        return os.getpid()

    async def wait(self) -> None:
        import asyncio

        await asyncio.Event().wait()


def test_a_policy_of_the_users_scales() -> None:
    handle = serve.run(Held.bind(), name="scaled", route_prefix="/scaled")
    held = handle.wait.remote()
    found: set[int] = set()
    while len(found) < 3:
        found |= {response.result() for response in [handle.remote() for _ in range(8)]}
    held.cancel()
    states = serve.status().applications["scaled"].deployments["Held"].replica_states
    assert sum(states.values()) == 3
    serve.delete("scaled")


def test_threads_share_a_router_of_the_users() -> None:
    handle = serve.run(Pid.bind(), name="routed", route_prefix="/routed")
    while handle.remote(0).result() == handle.remote(1).result():
        pass  # Until this process has heard of both replicas.
    answers: list[tuple[int, int]] = []

    def ask(key: int) -> None:
        answers.extend((key % 2, handle.remote(key).result()) for _ in range(20))

    threads = [threading.Thread(target=ask, args=(key,)) for key in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 120
    assert len(set(answers)) == 2
    serve.delete("routed")


class ByStats(RequestRouter):
    """Sends requests to who says that it is the best; to anybody until somebody has said so."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        best = [one for one in candidate_replicas if one.routing_stats.get("best")]
        return [best or candidate_replicas]


def as_many_as_are_told(context: Any) -> tuple[float, dict[str, Any]]:
    return max(context.aggregated_metrics.get("wanted", {}).values(), default=1), {}


@serve.deployment(
    ray_actor_options={"num_cpus": 0},
    request_router_config=RequestRouterConfig(request_router_class=ByStats, request_routing_stats_period_s=0.05),
    autoscaling_config=AutoscalingConfig(
        max_replicas=5,
        metrics_interval_s=0.05,
        upscale_delay_s=0,
        policy=AutoscalingPolicy(policy_function=as_many_as_are_told),
    ),
)
class Tells:
    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"wanted": 2}

    async def record_routing_stats(self) -> dict[str, Any]:
        rank = serve.get_replica_context().rank
        return {"best": rank is not None and rank.rank == 1}

    def __call__(self) -> int | None:
        rank = serve.get_replica_context().rank
        return rank.rank if rank is not None else None


def test_replicas_tell_policies_and_routers_of_themselves() -> None:
    handle = serve.run(Tells.bind(), name="tells", route_prefix=None)
    while handle.remote().result() != 1:
        pass  # Until there are two, and this process has heard which is the best.
    assert [handle.remote().result() for _ in range(8)] == [1] * 8
    serve.delete("tells")
