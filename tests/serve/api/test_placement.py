"""Replicas that reserve resources together with others have a placement group of their own for as long as they are there."""

from __future__ import annotations

from typing import Any

import pytest

import shoal
from shoal import serve
from shoal.serve.exceptions import DeployFailedError
from shoal.util import get_current_placement_group, placement_group_table


@shoal.remote(num_cpus=1)
def neighbour() -> Any:
    return get_current_placement_group()


@serve.deployment(
    num_replicas=2,
    ray_actor_options={"num_cpus": 0.5},
    placement_group_bundles=[{"CPU": 0.5}, {"CPU": 1}],
    placement_group_strategy="STRICT_PACK",
)
class Pair:
    def __init__(self, version: int) -> None:
        self.version = version

    def __call__(self) -> tuple[list[dict[str, float]], bool]:
        own = get_current_placement_group()
        assert own is not None
        return own.bundle_specs, shoal.get(neighbour.remote()) == own


def groups() -> list[str]:
    return [row["name"] for row in placement_group_table().values() if row["state"] != "REMOVED"]


def kill_the_controller() -> None:
    shoal.kill(shoal.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve"), no_restart=False)


def test_each_replica_has_a_group_with_its_tasks_until_it_ends() -> None:
    pair = serve.run(Pair.bind(1), name="pair", route_prefix=None)
    assert pair.remote().result() == ([{"CPU": 0.5}, {"CPU": 1}], True)
    before = set(groups())
    assert len(before) == 2
    serve.run(Pair.bind(2), name="pair", route_prefix=None)
    while len(now := set(groups())) != 2:
        pass
    assert now.isdisjoint(before)
    kill_the_controller()
    assert serve.status().applications["pair"].status == "RUNNING"
    assert set(groups()) == now
    serve.delete("pair")
    while groups():
        pass


def test_what_can_never_be_reserved_is_told() -> None:
    spread = Pair.options(placement_group_bundles=[{"CPU": 0.5}, {"CPU": 100}])
    with pytest.raises(DeployFailedError, match="100"):
        serve.run(spread.bind(1), name="pair", route_prefix=None)
    serve.delete("pair")
    while groups():
        pass
