"""Whether a new version fits beside what the version before has left."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.serve._internal.logic.room import has_to_give_way, resources_of
from shoal.serve.config import DeploymentConfig
from shoal.serve.deployment import checked_config


def replicas(number: int, **options: Any) -> list[DeploymentConfig]:
    return [checked_config("model", options)] * number


def test_what_a_replica_needs() -> None:
    (one,) = replicas(1, ray_actor_options={"num_cpus": 0.5, "resources": {"disk": 2}})
    assert resources_of(one) == {"CPU": 0.5, "GPU": 0, "disk": 2}
    (one,) = replicas(1, placement_group_bundles=[{"CPU": 1}, {"CPU": 2, "GPU": 1}])
    assert resources_of(one) == {"CPU": 3, "GPU": 1}


@pytest.mark.parametrize(
    ("left", "to_start", "ending", "free", "gives_way"),
    [
        (1, 1, 0, 1.0, False),
        (1, 2, 0, 1.0, True),
        (1, 2, 1, 1.0, False),
        (1, 3, 0, 1.0, False),
        (0, 2, 0, 1.0, False),
    ],
    ids=["fits beside it", "fits in its place", "fits once others have ended", "fits in no case", "nothing is left"],
)
def test_what_is_left_gives_way_where_that_helps(
    left: int, to_start: int, ending: int, free: float, gives_way: bool
) -> None:
    assert has_to_give_way(replicas(left), replicas(to_start), replicas(ending), {"CPU": free}) is gives_way
