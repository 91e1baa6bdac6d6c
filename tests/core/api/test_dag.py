"""Lazy graphs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import shoal
from shoal.dag import ClassMethodNode, ClassNode, DAGNode, FunctionNode, InputNode, MultiOutputNode
from shoal.exceptions import InvalidOptionError, UnsupportedError


@shoal.remote
def add(x: Any, y: Any = 1) -> Any:
    return x + y


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.sum = start

    def add(self, n: int) -> int:
        self.sum += n
        return self.sum


CounterActor = shoal.remote(Counter)


def test_a_call(engine: Any) -> None:
    node = add.bind(1, y=2)
    assert isinstance(node, FunctionNode)
    assert (node.get_args(), node.get_kwargs(), node.get_options()) == ((1,), {"y": 2}, {})
    assert engine.tasks == []
    assert shoal.get(node.execute()) == 3
    assert add.options(num_cpus=2).bind(1).get_options() == {"num_cpus": 2}


def test_shared_nodes_run_once(engine: Any) -> None:
    shared = add.bind(1)
    assert shoal.get(add.bind(shared, shared).execute()) == 4
    assert len(engine.tasks) == 2


def test_inputs(engine: Any) -> None:
    with InputNode() as value:
        whole, items = add.bind(value), add.bind(value[0], value[1])
        names, keys = add.bind(value.a, value.b), add.bind(value["a"], value["b"])
    assert shoal.get(whole.execute(1)) == 2
    assert shoal.get(items.execute(1, 2)) == shoal.get(items.execute([1, 2])) == 3
    assert shoal.get(names.execute(a=1, b=2)) == shoal.get(keys.execute({"a": 1, "b": 2})) == 3
    assert shoal.get(names.execute(type("Named", (), {"a": 1, "b": 2}))) == 3


def test_inputs_that_are_missing(engine: Any) -> None:
    with InputNode() as value:
        whole, part, named = add.bind(value), add.bind(value[1]), add.bind(value.a)
    with pytest.raises(InvalidOptionError, match="give its value"):
        whole.execute()
    with pytest.raises(InvalidOptionError, match="its input 1"):
        part.execute(x=1)
    with pytest.raises(InvalidOptionError, match="'a'"):
        named.execute(1, 2)


def test_nodes_inside_of_containers(engine: Any) -> None:
    collect = shoal.remote(lambda values, named: (values, named))
    values, named = shoal.get(collect.bind([add.bind(1), (add.bind(2), 5)], {"last": add.bind(3)}).execute())
    assert shoal.get([values[0], values[1][0], named["last"]]) == [2, 3, 4]
    assert values[1][1] == 5


def test_several_outputs(engine: Any) -> None:
    with InputNode() as value:
        node = MultiOutputNode([add.bind(value, 1), add.bind(value, 2)])
    assert shoal.get(node.execute(1)) == [2, 3]
    with pytest.raises(ValueError):
        MultiOutputNode(3)  # type: ignore[arg-type]


def test_actors(engine: Any) -> None:
    actor = CounterActor.bind(add.bind(9))
    assert isinstance(actor, ClassNode)
    call = actor.add.options(name="sum").bind(1)
    assert isinstance(call, ClassMethodNode)
    assert (call.get_method_name(), call.get_options()) == ("add", {"name": "sum"})
    with pytest.raises(AttributeError):
        actor.unknown.bind()


def test_methods_of_actors_that_the_graph_makes(engine: Any) -> None:
    actor = CounterActor.bind(10)
    node = add.bind(actor.add.bind(1), actor.add.bind(2))
    assert shoal.get(node.execute()) == 11 + 13
    assert shoal.get(node.execute()) == 11 + 13
    assert len(engine.actors) == 2


def test_calls_of_an_actor_are_made_in_the_order_in_which_they_were_bound(engine: Any) -> None:
    actor, other = CounterActor.bind(10), CounterActor.bind(10)
    first = actor.add.bind(1)
    actor.add.bind(2)
    other.add.bind(6)
    node = add.bind(actor.add.bind(4), other.add.bind(0))
    assert shoal.get(node.execute()) == 17 + 16
    assert shoal.get(node.apply_recursive(lambda node: node).execute()) == 17 + 16
    assert shoal.get(first.execute()) == 11


def test_an_actor_may_have_more_calls_than_pythons_go_deep(engine: Any) -> None:
    actor = CounterActor.bind(0)
    for _ in range(sys.getrecursionlimit() - 1):
        actor.add.bind(1)
    node = actor.add.bind(1)
    assert shoal.get(node.execute()) == sys.getrecursionlimit()
    assert shoal.get(node.apply_recursive(lambda node: node).execute()) == sys.getrecursionlimit()


def test_methods_of_actors_that_exist(engine: Any) -> None:
    handle: Any = CounterActor.remote(1)
    with InputNode() as value:
        node = handle.add.bind(value)
    assert shoal.get(node.execute(2)) == 3
    assert shoal.get(node.execute(2)) == 5


def test_visiting_all_nodes(engine: Any) -> None:
    with InputNode() as value:
        node = add.bind(add.bind(value), [CounterActor.bind().add.bind(1)])
    seen: list[str] = []

    def visit(node: DAGNode) -> DAGNode:
        seen.append(type(node).__name__)
        return node

    copy = node.apply_recursive(visit)
    assert seen == ["InputNode", "FunctionNode", "ClassNode", "ClassMethodNode", "FunctionNode"]
    assert copy is not node
    assert repr(copy) == repr(node) == "FunctionNode(add, FunctionNode(add, InputNode()), [ClassMethodNode(add, 1)])"


def test_graphs_are_not_compiled() -> None:
    with pytest.raises(UnsupportedError, match="execute"):
        add.bind(1).experimental_compile()
    with pytest.raises(UnsupportedError):
        add.bind(1).with_tensor_transport()
    with pytest.raises(UnsupportedError):
        shoal.dag.DAGContext.get_current()
    with pytest.raises(UnsupportedError):
        shoal.dag.plot(add.bind(1))
