"""Resources: what there is, what is free, who gets it."""

from __future__ import annotations

import pytest

import shoal


@pytest.mark.session(num_cpus=3, num_gpus=0, resources={"special": 2})
def test_totals() -> None:
    total = shoal.cluster_resources()
    assert total["CPU"] == 3
    assert total["special"] == 2
    assert total["memory"] > 0
    assert total["object_store_memory"] > 0


@pytest.mark.session(resources={"special": 1})
def test_resources_limit_what_runs_at_once(gate) -> None:
    @shoal.remote(num_cpus=0, resources={"special": 1})
    def enter(gate, n):
        return shoal.get(gate.wait.remote())

    refs = [enter.remote(gate, n) for n in range(3)]
    assert shoal.get(gate.arrivals.remote(1)) == 1
    assert shoal.wait(refs, timeout=0)[0] == []
    gate.open.remote()
    assert shoal.get(refs) == ["open"] * 3


@pytest.mark.session(resources={"special": 1})
def test_used_and_free(gate) -> None:
    @shoal.remote(num_cpus=1, resources={"special": 1})
    def use(gate):
        return shoal.get(gate.wait.remote())

    assert shoal.available_resources()["special"] == 1
    ref = use.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    while "special" in shoal.available_resources():
        pass
    gate.open.remote()
    shoal.get(ref)
    while shoal.available_resources().get("special") != 1:
        pass


@pytest.mark.session(resources={"special": 1})
def test_fractions(gate) -> None:
    @shoal.remote(num_cpus=0.1, resources={"special": 0.25})
    def enter(gate):
        return shoal.get(gate.wait.remote())

    refs = [enter.remote(gate) for _ in range(4)]
    assert shoal.get(gate.arrivals.remote(4)) == 4
    gate.open.remote()
    assert shoal.get(refs) == ["open"] * 4


@pytest.mark.session(resources={"special": 1})
def test_actors_hold_resources_for_life(gate) -> None:
    @shoal.remote(resources={"special": 1})
    class Holder:
        def work(self):
            return "worked"

    first = Holder.remote()
    assert shoal.get(first.work.remote()) == "worked"
    second = Holder.remote()
    ref = second.work.remote()
    assert shoal.wait([ref], timeout=0)[0] == []
    shoal.kill(first)
    assert shoal.get(ref) == "worked"


@pytest.mark.session(num_cpus=1)
def test_actors_without_options_hold_no_cpu() -> None:
    @shoal.remote
    class Light:
        def work(self):
            return "worked"

    actors = [Light.remote() for _ in range(3)]
    assert shoal.get([actor.work.remote() for actor in actors]) == ["worked"] * 3


@pytest.mark.session(num_cpus=1)
def test_task_runs_beside_an_actor_that_holds_no_cpu(counter) -> None:
    @shoal.remote
    def use(counter):
        return shoal.get(counter.add.remote())

    assert shoal.get(use.remote(counter)) == 1


def test_nodes() -> None:
    [node] = shoal.nodes()
    assert node["Alive"]
    assert node["NodeID"] == shoal.get_runtime_context().get_node_id()
    assert node["Resources"]["CPU"] == 4
    assert node["NodeManagerAddress"]
    assert isinstance(node["Labels"], dict)


@pytest.mark.session(labels={"region": "north"})
def test_labels_choose_nodes() -> None:
    @shoal.remote
    def one():
        return 1

    assert shoal.nodes()[0]["Labels"]["region"] == "north"
    assert shoal.get(one.options(label_selector={"region": "north"}).remote()) == 1
    assert shoal.get(one.options(label_selector={"region": "!south"}).remote()) == 1
    assert shoal.get(one.options(label_selector={"region": "in(north, south)"}).remote()) == 1


def test_node_affinity() -> None:
    from shoal.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @shoal.remote
    def where():
        return shoal.get_runtime_context().get_node_id()

    here = shoal.get_runtime_context().get_node_id()
    for strategy in (NodeAffinitySchedulingStrategy(here, soft=False), "SPREAD", "DEFAULT"):
        assert shoal.get(where.options(scheduling_strategy=strategy).remote()) == here


def test_hard_affinity_to_a_node_that_is_not_there() -> None:
    from shoal.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @shoal.remote
    def one():
        return 1

    nowhere = "0" * len(shoal.get_runtime_context().get_node_id())
    soft = NodeAffinitySchedulingStrategy(nowhere, soft=True)
    assert shoal.get(one.options(scheduling_strategy=soft).remote()) == 1
    hard = NodeAffinitySchedulingStrategy(nowhere, soft=False)
    with pytest.raises(shoal.exceptions.TaskUnschedulableError):
        shoal.get(one.options(scheduling_strategy=hard).remote())


def test_infeasible_task_does_not_block_others() -> None:
    @shoal.remote
    def one():
        return 1

    never = one.options(num_cpus=1000).remote()
    assert shoal.get(one.remote()) == 1
    del never


def test_gpu_ids_of_the_driver() -> None:
    assert isinstance(shoal.get_gpu_ids(), list)


@pytest.mark.session(num_gpus=2)
def test_gpus_are_handed_out_one_by_one(gate) -> None:
    @shoal.remote(num_gpus=1, num_cpus=0)
    def look(gate):
        ids = shoal.get_gpu_ids()
        shoal.get(gate.wait.remote())
        return ids

    refs = [look.remote(gate) for _ in range(2)]
    shoal.get(gate.arrivals.remote(2))
    gate.open.remote()
    seen = shoal.get(refs)
    assert sorted(int(i) for ids in seen for i in ids) == [0, 1]


def test_bad_scheduling_strategy() -> None:
    @shoal.remote
    def one():
        return 1

    with pytest.raises((ValueError, TypeError)):
        one.options(scheduling_strategy="NONSENSE").remote()
