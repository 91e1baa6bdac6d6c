"""Replicas of a deployment that nobody asks end, and come back when somebody does."""

from __future__ import annotations

from typing import Any

from shoal import serve
from shoal.serve._internal.process.status_changes import status_changes

SCALING: dict[str, Any] = {
    "min_replicas": 0,
    "max_replicas": 2,
    "metrics_interval_s": 0.05,
    "look_back_period_s": 0.2,
    "upscale_delay_s": 0.1,
    "downscale_delay_s": 0.2,
}


@serve.deployment(autoscaling_config=SCALING, ray_actor_options={"num_cpus": 0.1})
class Sometimes:
    async def __call__(self) -> str:
        return "here"


def test_to_zero_and_back_again_and_again() -> None:
    handle = serve.run(Sometimes.bind(), name="sometimes", route_prefix=None)
    for _ in range(3):
        assert handle.remote().result() == "here"
        # Statuses come when something changes, and end with the session.
        for status in status_changes():
            if not status.applications["sometimes"].deployments["Sometimes"].replica_states:
                break
    serve.delete("sometimes")
