"""Remote functions."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

import shoal
from shoal._core.api.runtime import SESSION
from shoal._core.schema.resources import DEFAULT, PlacementGroupStrategy
from shoal._core.schema.session import ExecutionContext
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError
from shoal.util.placement_group import placement_group
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@shoal.remote
def add(x: int, y: int = 1) -> int:
    """Adds."""
    return x + y


@shoal.remote
def count(n: int) -> Iterator[int]:
    yield from range(n)


def test_calls_reach_the_engine(engine: Any) -> None:
    ref = add.remote(1, y=2)
    assert shoal.get(ref) == 3
    template, args, kwargs = engine.tasks[0]
    assert (args, kwargs) == ((1,), {"y": 2})
    assert template.name == "add"
    assert template.definition.name == "add"
    assert template.definition.value is add._function
    assert template.definition.id
    assert pickle.loads(template.definition.data)(1) == 2


def test_one_template_for_all_calls(engine: Any) -> None:
    for _ in range(3):
        add.remote(1)
    assert len({id(template) for template, _, _ in engine.tasks}) == 1


def test_arguments_are_checked_first(engine: Any) -> None:
    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument: 'x'"):
        add.remote()  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        add.remote(1, z=2)  # type: ignore[call-overload]
    assert engine.tasks == []


def test_an_argument_may_be_called_self(engine: Any) -> None:
    remote = shoal.remote(lambda **names: names)
    assert shoal.get(remote.remote(self=1)) == {"self": 1}


def test_numbers_of_results(engine: Any) -> None:
    pair = shoal.remote(lambda: (1, 2))
    assert shoal.get(pair.remote()) == (1, 2)
    assert shoal.get(pair.options(num_returns=2).remote()) == [1, 2]
    assert pair.options(num_returns=0).remote() is None
    assert [shoal.get(ref) for ref in count.remote(3)] == [0, 1, 2]


def test_options_leave_the_original_alone(engine: Any) -> None:
    changed = add.options(num_cpus=3, name="sum")
    changed.remote(1)
    add.remote(1)
    (first, *_), (second, *_) = engine.tasks
    assert (first.options.resources.to_floats(), first.name) == ({"CPU": 3}, "sum")
    assert (second.options.resources.to_floats(), second.name) == ({"CPU": 1}, "add")
    assert first.definition is second.definition


def test_options_over_options(engine: Any) -> None:
    add.options(num_cpus=2, max_retries=1).options(num_cpus=3).remote(1)
    options = engine.tasks[0][0].options
    assert (options.resources.to_floats(), options.max_retries) == ({"CPU": 3}, 1)


def test_same_options_same_template(engine: Any) -> None:
    for _ in range(2):
        add.options(num_cpus=2).remote(1)
    assert engine.tasks[0][0] is engine.tasks[1][0]


def test_every_session_has_its_own_definition(engine: Any, next_engine: Callable[[], Any]) -> None:
    add.remote(1)
    following = next_engine()
    add.remote(1)
    assert engine.tasks[0][0] is not following.tasks[0][0]


def test_globals_are_those_of_the_first_call(engine: Any) -> None:
    box = {"value": 1}
    remote = shoal.remote(lambda: box["value"])
    box["value"] = 2
    remote.remote()
    assert cloudpickle.loads(engine.tasks[0][0].definition.data)() == 2


def test_direct_call_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Instead of 'add\(\)', write 'add.remote\(\)'"):
        add(1)  # type: ignore[operator]


def test_looks_like_the_function() -> None:
    assert add.__name__ == "add"
    assert add.__doc__ == "Adds."
    assert add.__module__ == __name__
    assert add.__wrapped__(1) == 2
    assert repr(add) == "RemoteFunction(add)"


@pytest.mark.parametrize("wrong", [3, "text", None, object()])
def test_only_callables_can_be_remote(wrong: Any) -> None:
    with pytest.raises(InvalidOptionTypeError):
        shoal.remote(wrong)
    with pytest.raises(InvalidOptionTypeError):
        shoal.remote(num_cpus=1)(wrong)


def test_remote_takes_one_thing() -> None:
    with pytest.raises(InvalidOptionTypeError):
        shoal.remote(len, max)  # type: ignore[call-overload]
    with pytest.raises(InvalidOptionTypeError):
        shoal.remote(len, num_cpus=1)  # type: ignore[call-overload]


def test_nothing_is_decorated_twice() -> None:
    with pytest.raises(InvalidOptionTypeError, match="decorated already"):
        shoal.remote(add)


def test_coroutine_functions_are_refused() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 1

    with pytest.raises(InvalidOptionError, match="async def"):
        shoal.remote(later)


def test_any_callable(engine: Any) -> None:
    assert shoal.get(shoal.remote(max).remote(1, 2)) == 2
    assert shoal.get(shoal.remote("text".upper).remote()) == "TEXT"


# --- travelling ------------------------------------------------------------------------------------------------------


def test_travels_by_value(engine: Any) -> None:
    copy = cloudpickle.loads(cloudpickle.dumps(add.options(num_cpus=2)))
    assert shoal.get(copy.remote(1)) == 2
    assert engine.tasks[0][0].options.resources.to_floats() == {"CPU": 2}


def test_function_that_refers_to_itself(engine: Any) -> None:
    def factorial(n: int) -> Any:
        return 1 if n == 0 else n * shoal.get(remote.remote(n - 1))

    remote = shoal.remote(factorial)
    for travelled in (cloudpickle.loads(cloudpickle.dumps(remote)), remote):
        assert shoal.get(travelled.remote(4)) == 24
    function = cloudpickle.loads(remote._source.definition().data)
    assert function(3) == 6


def test_function_of_main(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def local() -> str:
        return "here"

    local.__module__ = "__main__"
    local.__qualname__ = "local"
    monkeypatch.setattr(sys.modules["__main__"], "local", shoal.remote(local), raising=False)
    travelled = cloudpickle.loads(cloudpickle.dumps(shoal.remote(local)))
    assert shoal.get(travelled.remote()) == "here"


# --- placement groups ------------------------------------------------------------------------------------------------


def test_too_large_for_its_group(engine: Any) -> None:
    group = placement_group([{"CPU": 1}])
    large = add.options(num_cpus=2, scheduling_strategy=PlacementGroupSchedulingStrategy(group))
    with pytest.raises(ValueError, match="add asks for 2 CPU"):
        large.remote(1)


def test_children_of_captured_tasks(engine: Any) -> None:
    SESSION.runs_tasks = True
    engine.where = ExecutionContext(is_driver=False, placement_group_id=b"p" * 16, capture_child_tasks=True)
    add.remote(1)
    engine.where = ExecutionContext(is_driver=False)
    add.remote(1)
    add.options(scheduling_strategy="DEFAULT").remote(1)
    strategies = [template.options.strategy for template, _, _ in engine.tasks]
    assert strategies == [PlacementGroupStrategy(b"p" * 16, -1, True), DEFAULT, DEFAULT]
