"""Placement groups: reserving resources together."""

from __future__ import annotations

import pytest

import shoal

placement = pytest.importorskip("shoal.util.placement_group")
strategies = pytest.importorskip("shoal.util.scheduling_strategies")

pytestmark = pytest.mark.needs("placement_groups")


def in_group(group, index=-1, capture=False):
    return strategies.PlacementGroupSchedulingStrategy(
        placement_group=group, placement_group_bundle_index=index, placement_group_capture_child_tasks=capture
    )


@pytest.fixture
def look():
    @shoal.remote
    def look():
        return shoal.get_runtime_context().get_placement_group_id()

    return look


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_group_becomes_ready(strategy) -> None:
    group = placement.placement_group([{"CPU": 1}, {"CPU": 2}], strategy=strategy)
    assert shoal.get(group.ready()) == group
    assert group.wait(60)
    assert group.bundle_specs == [{"CPU": 1}, {"CPU": 2}]
    assert group.bundle_count == 2
    assert group.id.hex()


@pytest.mark.short
def test_tasks_and_actors_run_in_a_group(look) -> None:
    group = placement.placement_group([{"CPU": 1}, {"CPU": 1}])
    for index in (-1, 0, 1):
        ref = look.options(scheduling_strategy=in_group(group, index)).remote()
        assert shoal.get(ref) == group.id.hex()

    @shoal.remote(num_cpus=1)
    class Actor:
        def look(self):
            return shoal.get_runtime_context().get_placement_group_id()

    actor = Actor.options(scheduling_strategy=in_group(group)).remote()
    assert shoal.get(actor.look.remote()) == group.id.hex()


def test_outside_a_group(look) -> None:
    assert shoal.get(look.remote()) is None


def test_bundles_limit_what_runs_at_once() -> None:
    group = placement.placement_group([{"CPU": 1}])

    @shoal.remote(num_cpus=1)
    class Holder:
        def work(self):
            return "worked"

    first = Holder.options(scheduling_strategy=in_group(group)).remote()
    assert shoal.get(first.work.remote()) == "worked"
    second = Holder.options(scheduling_strategy=in_group(group)).remote()
    ref = second.work.remote()
    assert shoal.wait([ref], timeout=0)[0] == []
    shoal.kill(first)
    assert shoal.get(ref) == "worked"


def test_reserved_resources_are_not_free() -> None:
    group = placement.placement_group([{"CPU": 3}])
    assert shoal.get(group.ready())
    while shoal.available_resources().get("CPU") != 1:
        pass
    placement.remove_placement_group(group)
    while shoal.available_resources().get("CPU") != 4:
        pass


def test_group_waits_for_room() -> None:
    first = placement.placement_group([{"CPU": 3}])
    assert shoal.get(first.ready())
    second = placement.placement_group([{"CPU": 3}])
    assert not second.wait(0.01)
    placement.remove_placement_group(first)
    assert shoal.get(second.ready())


def test_removal_ends_what_runs_inside() -> None:
    group = placement.placement_group([{"CPU": 1}])

    @shoal.remote(num_cpus=1)
    class Actor:
        def work(self):
            return "worked"

    actor = Actor.options(scheduling_strategy=in_group(group)).remote()
    assert shoal.get(actor.work.remote()) == "worked"
    placement.remove_placement_group(group)
    with pytest.raises(shoal.exceptions.RayActorError):
        while True:
            shoal.get(actor.work.remote())


def test_children_are_captured_on_request(look) -> None:
    group = placement.placement_group([{"CPU": 2}])

    @shoal.remote
    def parent():
        return shoal.get(look.remote())

    inside = parent.options(scheduling_strategy=in_group(group, capture=True)).remote()
    assert shoal.get(inside) == group.id.hex()
    outside = parent.options(scheduling_strategy=in_group(group, capture=False)).remote()
    assert shoal.get(outside) is None


def test_current_placement_group() -> None:
    group = placement.placement_group([{"CPU": 1}])

    @shoal.remote
    def look():
        found = placement.get_current_placement_group()
        return found and found.id.hex()

    assert placement.get_current_placement_group() is None
    assert shoal.get(look.options(scheduling_strategy=in_group(group)).remote()) == group.id.hex()
    assert shoal.get(look.remote()) is None


def test_named_group() -> None:
    group = placement.placement_group([{"CPU": 1}], name="reserved")
    assert shoal.get(group.ready())
    assert placement.get_placement_group("reserved").id == group.id
    with pytest.raises(ValueError):
        placement.get_placement_group("unknown")


def test_table() -> None:
    group = placement.placement_group([{"CPU": 1}, {"CPU": 2}], strategy="PACK", name="tabled")
    shoal.get(group.ready())
    row = placement.placement_group_table(group)
    assert row["placement_group_id"] == group.id.hex()
    assert row["name"] == "tabled"
    assert row["state"] == "CREATED"
    assert row["strategy"] == "PACK"
    assert row["bundles"] == {0: {"CPU": 1}, 1: {"CPU": 2}}
    placement.remove_placement_group(group)
    while placement.placement_group_table(group)["state"] != "REMOVED":
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        ([],),
        ([{}],),
        ([{"CPU": 0}],),
        ([{"CPU": 1}], "NONSENSE"),
        ({"CPU": 1},),
        ("CPU",),
    ],
)
def test_bad_groups(arguments) -> None:
    with pytest.raises((ValueError, TypeError)):
        placement.placement_group(*arguments)


def test_task_that_never_fits_its_group(look) -> None:
    group = placement.placement_group([{"CPU": 1}])
    with pytest.raises(ValueError):
        look.options(num_cpus=2, scheduling_strategy=in_group(group)).remote()


def test_bundle_index_out_of_range(look) -> None:
    group = placement.placement_group([{"CPU": 1}])
    with pytest.raises(ValueError):
        look.options(scheduling_strategy=in_group(group, 5)).remote()


def test_group_is_passed_to_tasks(look) -> None:
    group = placement.placement_group([{"CPU": 1}])

    strategy = strategies.PlacementGroupSchedulingStrategy

    @shoal.remote(num_cpus=0)
    def use(group):
        return shoal.get(look.options(scheduling_strategy=strategy(placement_group=group)).remote())

    assert shoal.get(use.remote(group)) == group.id.hex()
