"""Resources of the one node, and placement groups on it."""

from __future__ import annotations

import pytest

from shoal._core.process.inline.admission import Admission, Grant
from shoal._core.process.inline.groups import CREATED, PENDING, REMOVED, Groups
from shoal._core.schema.options import ActorOptions, TaskOptions
from shoal._core.schema.resources import DEFAULT, NodeAffinityStrategy, PlacementGroupStrategy, ResourceSet
from shoal.exceptions import InfeasibleResourcesError, InvalidOptionError, ShoalError, TaskUnschedulableError


def task(strategy=DEFAULT, **amounts: float) -> TaskOptions:
    return TaskOptions(resources=ResourceSet.parse(amounts), strategy=strategy)


class Node:
    """A node of 4 CPUs and 2 GPUs, and who was admitted to it."""

    def __init__(self) -> None:
        totals = ResourceSet.parse({"CPU": 4, "GPU": 2, "special": 1})
        self.admission = Admission(b"n" * 16, totals, {"region": "north"})
        self.groups = Groups(self.admission)
        self.admitted: dict[str, Grant] = {}

    def apply(self, name: str, options: TaskOptions | ActorOptions) -> None:
        def admitted(grant: Grant) -> None:
            self.admitted[name] = grant

        self.admission.apply(name, options, admitted)

    def end(self, name: str) -> None:
        self.admission.give_back(self.admitted.pop(name))


@pytest.fixture
def node() -> Node:
    return Node()


def test_first_come_first_served(node) -> None:
    for name in "abc":
        node.apply(name, task(CPU=2))
    assert list(node.admitted) == ["a", "b"]
    node.end("a")
    assert list(node.admitted) == ["b", "c"]


def test_those_that_do_not_fit_let_others_pass(node) -> None:
    node.apply("a", task(CPU=3))
    node.apply("large", task(CPU=2))
    node.apply("small", task(CPU=1))
    assert list(node.admitted) == ["a", "small"]
    assert "2 CPU" in node.admission.wants("large")
    assert "free: 0 CPU" in node.admission.wants("large")


def test_who_left_the_line_is_not_admitted(node) -> None:
    node.apply("a", task(CPU=4))
    node.apply("b", task(CPU=4))
    node.admission.withdraw("b")
    node.admission.withdraw("nobody")
    node.end("a")
    assert node.admitted == {}


def test_blocked_holders_lend_their_cpus(node) -> None:
    node.apply("a", task(CPU=4))
    node.apply("b", task(CPU=4))
    node.admission.block(node.admitted["a"])
    assert set(node.admitted) == {"a", "b"}
    node.admission.unblock(node.admitted["a"])
    node.end("b")
    node.apply("c", task(CPU=1))
    assert set(node.admitted) == {"a"}
    node.end("a")
    assert set(node.admitted) == {"c"}


def test_blocked_holder_that_ends(node) -> None:
    node.apply("a", task(CPU=4))
    grant = node.admitted["a"]
    node.admission.block(grant)
    node.end("a")
    node.admission.unblock(grant)
    assert node.admission.available()["CPU"] == 4


def test_actors_need_more_to_be_placed_than_they_hold(node) -> None:
    options = ActorOptions(resources=ResourceSet(), placement_resources=ResourceSet.parse({"CPU": 1}), strategy=DEFAULT)
    node.apply("task", task(CPU=4))
    node.apply("actor", options)
    assert list(node.admitted) == ["task"]
    node.end("task")
    assert list(node.admitted) == ["actor"]
    assert node.admission.available()["CPU"] == 4


def test_gpus_have_numbers(node) -> None:
    node.apply("a", task(GPU=1))
    node.apply("b", task(GPU=0.5))
    node.apply("c", task(GPU=0.5))
    assert node.admitted["a"].gpu_ids == [0]
    assert node.admitted["b"].gpu_ids == node.admitted["c"].gpu_ids == [1]


def test_obstacles(node) -> None:
    admission = node.admission
    assert admission.obstacle(task(CPU=4)) is None
    with pytest.raises(InfeasibleResourcesError, match="5 CPU"):
        raise admission.obstacle(task(CPU=5))
    elsewhere = NodeAffinityStrategy("00" * 16)
    with pytest.raises(TaskUnschedulableError):
        raise admission.obstacle(task(elsewhere, CPU=1))
    south = TaskOptions(resources=ResourceSet(), strategy=DEFAULT, label_selector={"region": "south"})
    with pytest.raises(InfeasibleResourcesError, match="south"):
        raise admission.obstacle(south)


def test_group_is_reserved_as_a_whole(node) -> None:
    settled: list[ShoalError | None] = []
    first = node.groups.create([{"CPU": 3}], "PACK", "", [])
    second = node.groups.create([{"CPU": 1}, {"CPU": 2}], "PACK", "second", [])
    node.groups.when_settled(second, settled.append)
    assert (node.groups.state_of(first), node.groups.state_of(second)) == (CREATED, PENDING)
    assert node.admission.available()["CPU"] == 1
    assert node.groups.describe_waiting() == [f"placement group {second.hex()[:8]} waits for 1 CPU, 2 CPU"]
    assert settled == []
    assert node.groups.remove(first)
    assert not node.groups.remove(first)
    assert (node.groups.state_of(first), node.groups.state_of(second)) == (REMOVED, CREATED)
    assert settled == [None]
    assert node.admission.available()["CPU"] == 1


def test_requests_inside_of_a_group(node) -> None:
    group = node.groups.create([{"CPU": 1}, {"CPU": 2}], "PACK", "", [])
    node.apply("first bundle", task(PlacementGroupStrategy(group, 0), CPU=1))
    node.apply("first bundle again", task(PlacementGroupStrategy(group, 0), CPU=1))
    node.apply("any", task(PlacementGroupStrategy(group), CPU=2))
    node.apply("outside", task(CPU=1))
    assert set(node.admitted) == {"first bundle", "any", "outside"}
    assert node.admitted["any"].group_id == group
    node.end("first bundle")
    assert "first bundle again" in node.admitted


def test_request_waits_for_its_group(node) -> None:
    first = node.groups.create([{"CPU": 4}], "PACK", "", [])
    second = node.groups.create([{"CPU": 1}], "PACK", "", [])
    node.apply("a", task(PlacementGroupStrategy(second), CPU=1))
    assert node.admitted == {}
    node.groups.remove(first)
    assert set(node.admitted) == {"a"}


def test_names_of_groups(node) -> None:
    group = node.groups.create([{"CPU": 1}], "PACK", "mine", [])
    with pytest.raises(InvalidOptionError, match="mine"):
        node.groups.create([{"CPU": 1}], "PACK", "mine", [])
    node.groups.remove(group)
    node.groups.create([{"CPU": 1}], "PACK", "mine", [])
    assert [row["state"] for row in node.groups.rows()] == [REMOVED, CREATED]


def test_label_selectors_of_bundles(node) -> None:
    fine = node.groups.create([{"CPU": 1}], "PACK", "", [{"region": "north"}])
    wrong = node.groups.create([{"CPU": 1}], "PACK", "", [{"region": "south"}])
    assert node.groups.error_of(fine) is None
    assert "south" in str(node.groups.error_of(wrong))


def test_unknown_group(node) -> None:
    settled: list[ShoalError | None] = []
    node.groups.when_settled(b"?" * 16, settled.append)
    assert len(settled) == 1
    assert node.groups.state_of(b"?" * 16) == REMOVED
