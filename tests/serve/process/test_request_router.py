"""What routers of the user's may ask."""

from __future__ import annotations

import pytest

from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve._internal.schema.requests import RequestMeta
from shoal.serve.request_router import ReplicaID, RequestRouter, RunningReplica


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is needed."""


def test_replicas_with_room() -> None:
    deployment = DeploymentId("app", "Model")
    free, full = (
        RunningReplica(ReplicaID(name, deployment), "node", 2, ongoing) for name, ongoing in [("free", 1), ("full", 2)]
    )
    router = RequestRouter(deployment)
    router.update_running_replicas([free, full])
    assert router.select_available_replicas() == [free]
    assert router.select_available_replicas([full]) == []


def test_requests_have_the_names_that_routers_for_ray_use() -> None:
    meta = RequestMeta("request", "call", "app", method="predict", model_id="model", stream=True)
    assert (meta.multiplexed_model_id, meta.call_method, meta.app_name) == ("model", "predict", "app")
    assert (meta.internal_request_id, meta.is_streaming) == ("call", True)
