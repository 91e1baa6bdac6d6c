"""Graphs of bound calls."""

from __future__ import annotations

import pytest

import shoal

dag = pytest.importorskip("shoal.dag")


@pytest.fixture
def add():
    @shoal.remote
    def add(x, y):
        return x + y

    return add


def test_bound_function_runs_when_executed(add) -> None:
    node = add.bind(1, 2)
    assert isinstance(node, dag.DAGNode)
    assert shoal.get(node.execute()) == 3
    assert shoal.get(node.execute()) == 3


def test_nodes_feed_nodes(add) -> None:
    assert shoal.get(add.bind(add.bind(1, 2), add.bind(3, y=4)).execute()) == 10


def test_input(add) -> None:
    with dag.InputNode() as value:
        node = add.bind(value, 10)
    assert shoal.get(node.execute(1)) == 11
    assert shoal.get(node.execute(2)) == 12


def test_parts_of_the_input(add) -> None:
    with dag.InputNode() as value:
        by_index = add.bind(value[0], value[1])
    assert shoal.get(by_index.execute(1, 2)) == 3
    with dag.InputNode() as value:
        by_name = add.bind(value.x, value.y)
    assert shoal.get(by_name.execute(x=3, y=4)) == 7


def test_shared_node_runs_once(add, counter) -> None:
    @shoal.remote
    def count(counter):
        return shoal.get(counter.add.remote())

    shared = count.bind(counter)
    assert shoal.get(add.bind(shared, shared).execute()) == 2
    assert shoal.get(counter.read.remote()) == 1


def test_bound_actor(add) -> None:
    @shoal.remote
    class Counter:
        def __init__(self, start):
            self.sum = start

        def add(self, n):
            self.sum += n
            return self.sum

    actor = Counter.bind(10)
    node = add.bind(actor.add.bind(1), 100)
    assert shoal.get(node.execute()) == 111


def test_methods_of_an_existing_actor(counter) -> None:
    with dag.InputNode() as n:
        node = counter.add.bind(n)
    assert shoal.get(node.execute(2)) == 2
    assert shoal.get(node.execute(3)) == 5


def test_several_outputs(add) -> None:
    with dag.InputNode() as value:
        node = dag.MultiOutputNode([add.bind(value, 1), add.bind(value, 2)])
    assert shoal.get(node.execute(10)) == [11, 12]


def test_nodes_inside_lists_and_dicts(add) -> None:
    @shoal.remote
    def total(values, named):
        return sum(shoal.get(list(values))) + shoal.get(named["last"])

    node = total.bind([add.bind(1, 2), add.bind(3, 4)], {"last": add.bind(5, 5)})
    assert shoal.get(node.execute()) == 20


def test_options_of_a_bound_call(add) -> None:
    assert shoal.get(add.options(num_cpus=0, name="bound").bind(1, 2).execute()) == 3


def test_error_in_a_graph(add) -> None:
    @shoal.remote
    def fail():
        raise ValueError("in the graph")

    with pytest.raises(ValueError, match="in the graph"):
        shoal.get(add.bind(1, fail.bind()).execute())
