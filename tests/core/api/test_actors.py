"""Actor classes, handles and methods."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import cloudpickle
import pytest

import shoal
from shoal._core.api.actor_methods import methods_of
from shoal._core.api.runtime import SESSION
from shoal._core.system.serialization import serialize
from shoal.actor import ActorClassInheritanceException, ActorHandle, ActorMethod
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, SessionEndedError


class Base:
    def inherited(self) -> str:
        return "base"

    def overridden(self) -> str:
        return "base"


class Counter(Base):
    """Counts."""

    STEP = 1

    class Nested:
        pass

    def __init__(self, start: int = 0) -> None:
        self.sum = start

    def add(self, n: int, times: int = 1) -> int:
        self.sum += n * times
        return self.sum

    def overridden(self) -> str:
        return "derived"

    def items(self, n: int) -> Iterator[int]:
        yield from range(n)

    async def later(self) -> AsyncIterator[int]:
        yield 1

    async def slowly(self) -> int:
        return 1

    @shoal.method(num_returns=2, max_task_retries=4)
    def pair(self) -> tuple[int, int]:
        return 1, 2

    @staticmethod
    def static(x: int) -> int:
        return x

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__

    @property
    def total(self) -> int:
        return self.sum

    def __len__(self) -> int:
        return 3


CounterActor = shoal.remote(Counter)


@pytest.fixture
def counter(engine: Any) -> ActorHandle[Counter]:
    return CounterActor.remote(10)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_methods_that_handles_have() -> None:
    methods = methods_of(Counter)
    assert sorted(methods) == [
        "__len__", "add", "inherited", "items", "later", "of_class", "overridden", "pair", "slowly", "static"
    ]  # fmt: skip
    assert [name for name, method in methods.items() if method.is_async] == ["later", "slowly"]
    assert [name for name, method in methods.items() if method.is_generator] == ["items", "later"]
    assert methods["pair"].options.num_returns == 2


def test_constructor_arguments_are_checked(engine: Any) -> None:
    with pytest.raises(TypeError, match=r"Counter.__init__\(\) takes from 1 to 2 positional arguments"):
        CounterActor.remote(1, 2)
    assert engine.actors == []


def test_direct_call_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Instead of 'Counter\(\)', write 'Counter.remote\(\)'"):
        CounterActor()  # type: ignore[operator]


def test_no_class_derives_from_a_decorated_one() -> None:
    decorated: Any = CounterActor
    with pytest.raises(ActorClassInheritanceException, match="Derive from an ordinary class"):

        class Derived(decorated): ...

    assert issubclass(ActorClassInheritanceException, TypeError)


def test_class_attributes_stay_reachable() -> None:
    assert CounterActor.STEP == 1
    assert CounterActor.static(3) == 3
    assert CounterActor.__name__ == "Counter"
    assert CounterActor.__doc__ == "Counts."
    assert CounterActor.__ray_metadata__.modified_class is Counter
    with pytest.raises(AttributeError):
        CounterActor.nothing  # noqa: B018


def test_options_leave_the_original_alone(engine: Any) -> None:
    CounterActor.options(name="c", num_cpus=2).remote()
    CounterActor.remote()
    first, second = (actor.template for actor in engine.actors)
    assert (first.options.name, second.options.name) == ("c", "")
    assert first.definition is second.definition


def test_order_that_async_actors_cannot_keep(engine: Any) -> None:
    with pytest.raises(InvalidOptionError, match="allow_out_of_order_execution"):
        CounterActor.options(allow_out_of_order_execution=False).remote()


def test_groups_that_methods_name_have_to_exist(engine: Any) -> None:
    class Grouped:
        @shoal.method(concurrency_group="io")
        def read(self) -> None: ...

    with pytest.raises(InvalidOptionError, match="'read' names it"):
        shoal.remote(Grouped).remote()
    shoal.remote(Grouped).options(concurrency_groups={"io": 2}).remote()


def test_detached_by_default(engine: Any) -> None:
    SESSION.detached_by_default = True
    CounterActor.remote()
    CounterActor.options(lifetime="non_detached").remote()
    assert [actor.template.options.detached for actor in engine.actors] == [True, False]


def test_class_travels_by_value(engine: Any) -> None:
    travelled = cloudpickle.loads(cloudpickle.dumps(CounterActor.options(num_cpus=3)))
    assert shoal.get(travelled.remote(1).add.remote(1)) == 2
    assert engine.actors[0].template.options.resources.to_floats() == {"CPU": 3}


def test_class_that_refers_to_itself(engine: Any) -> None:
    class Chain:
        def __init__(self, depth: int) -> None:
            self.next = actor_class.remote(depth - 1) if depth else None

    actor_class = shoal.remote(Chain)
    cloudpickle.loads(actor_class._shoal_source.definition().data)(2)
    assert len(engine.actors) == 2
    cloudpickle.loads(cloudpickle.dumps(actor_class)).remote(1)
    assert len(engine.actors) == 4


def test_method_goes_with_methods() -> None:
    for wrong in (3, Counter):
        with pytest.raises(InvalidOptionTypeError):
            shoal.method(wrong)  # type: ignore[call-overload]
    with pytest.raises(InvalidOptionTypeError):
        shoal.method(Counter.add, num_returns=1)  # type: ignore[call-overload]


def test_method_on_static_and_class_methods() -> None:
    class Example:
        @shoal.method(num_returns=2)
        @staticmethod
        def static() -> tuple[int, int]:
            return 1, 2

        @staticmethod
        @shoal.method(num_returns=3)
        def inner() -> tuple[int, int, int]:
            return 1, 2, 3

    methods = methods_of(Example)
    assert (methods["static"].options.num_returns, methods["inner"].options.num_returns) == (2, 3)


# --- handles ---------------------------------------------------------------------------------------------------------


def test_calls(engine: Any, counter: Any) -> None:
    assert shoal.get(counter.add.remote(1, times=2)) == 12
    assert shoal.get(counter.overridden.remote()) == "derived"
    assert shoal.get(counter.inherited.remote()) == "base"
    assert shoal.get(counter.static.remote(5)) == 5
    assert shoal.get(counter.of_class.remote()) == "Counter"
    assert shoal.get(counter.__len__.remote()) == 3
    assert shoal.get(counter.pair.remote()) == [1, 2]
    assert [shoal.get(ref) for ref in counter.items.remote(2)] == [0, 1]


def test_one_template_for_all_calls(engine: Any, counter: Any) -> None:
    counter.add.remote(1)
    counter.add.remote(2)
    assert engine.calls[0][1] is engine.calls[1][1]


def test_arguments_are_checked(engine: Any, counter: Any) -> None:
    with pytest.raises(TypeError, match=r"Counter.add\(\) missing 1 required positional argument: 'n'"):
        counter.add.remote()
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        counter.static.remote(1, 2)
    assert engine.calls == []


def test_methods_that_are_not_there(counter: Any) -> None:
    with pytest.raises(AttributeError, match=r"actor Counter has no method 'ad'\. Did you mean 'add'\?"):
        counter.ad  # noqa: B018
    for name in ("total", "sum", "STEP", "Nested", "__array__"):
        with pytest.raises(AttributeError):
            getattr(counter, name)
    assert not hasattr(counter, "nothing")


def test_direct_call_of_a_method(counter: Any) -> None:
    with pytest.raises(TypeError, match=r"write 'actor.add.remote\(\)'"):
        counter.add(1)


@pytest.mark.parametrize("spelling", ["ray", "shoal"])
def test_methods_of_every_actor(engine: Any, counter: Any, spelling: str) -> None:
    assert shoal.get(getattr(counter, f"__{spelling}_ready__").remote()) is True
    call = getattr(counter, f"__{spelling}_call__")
    assert shoal.get(call.remote(lambda instance, n: instance.sum + n, 5)) == 15
    assert [template.name for _, template, _, _ in engine.calls] == ["__ray_ready__", "__ray_call__"]
    assert hasattr(counter, f"__{spelling}_terminate__")
    with pytest.raises(TypeError):
        call.remote()


def test_options_of_one_call(engine: Any, counter: Any) -> None:
    assert counter.pair.options(num_returns=1).remote() is not None
    counter.add.options(name="sum", max_task_retries=7).remote(1)
    template = engine.calls[1][1]
    assert (template.options.name, template.options.max_task_retries) == ("sum", 7)
    with pytest.raises(InvalidOptionError):
        counter.add.options(concurrency_group="unknown")
    with pytest.raises(InvalidOptionError):
        counter.add.options(num_cpus=1)


def test_looks(counter: Any) -> None:
    assert repr(counter) == f"Actor(Counter, {counter._actor_id.hex()})"
    assert repr(counter.add) == "ActorMethod(Counter.add)"
    assert {"add", "inherited", "__ray_ready__"} <= set(dir(counter))
    assert counter._ray_actor_id == counter._actor_id
    assert isinstance(counter.add, ActorMethod)


def test_equality(engine: Any, counter: Any) -> None:
    same = ActorHandle(counter._shoal_actor, SESSION.serial)
    assert counter == same
    assert hash(counter) == hash(same)
    assert counter != CounterActor.remote()
    assert counter != 3


def test_attributes_can_be_set(counter: Any) -> None:
    counter.mine = 1
    assert counter.mine == 1


def test_handle_goes_when_it_is_let_go(engine: Any) -> None:
    counter = CounterActor.remote()
    counter.add.remote(1)
    gone = weakref.ref(counter._shoal_actor)
    engine.actors.clear()
    engine.calls.clear()
    gc.disable()
    try:
        del counter
        assert gone() is None
    finally:
        gc.enable()


def test_handles_travel(engine: Any, counter: Any) -> None:
    serialized = serialize([counter, counter.add])
    assert serialized.refs
    assert all(ref is counter._shoal_actor for ref in serialized.refs)
    same, method = pickle.loads(serialized.pickled)
    assert same == counter
    assert shoal.get(method.remote(1)) == 11


def test_weak_handles_are_not_counted(engine: Any) -> None:
    CounterActor.options(name="c").remote()
    assert serialize(shoal.get_actor("c")).refs == []


# --- names and ends ----------------------------------------------------------------------------------------------------


def test_named_actors(engine: Any) -> None:
    CounterActor.options(name="c").remote(1)
    assert shoal.get(shoal.get_actor("c").add.remote(1)) == 2
    assert shoal.util.list_named_actors() == ["c"]
    assert shoal.util.list_named_actors(all_namespaces=True) == [{"name": "c", "namespace": "fake"}]
    with pytest.raises(ValueError):
        shoal.get_actor("")
    with pytest.raises(ValueError):
        shoal.get_actor("c", namespace="")
    with pytest.raises(TypeError):
        shoal.get_actor(3)  # type: ignore[arg-type]


def test_kill(engine: Any, counter: Any) -> None:
    shoal.kill(counter, no_restart=False)
    assert engine.other_calls == [("kill", counter._actor_id.binary(), False)]
    with pytest.raises(ValueError, match=r"shoal\.cancel"):
        shoal.kill(shoal.put(1))
    with pytest.raises(TypeError):
        shoal.kill(counter, True)  # type: ignore[misc]


def test_exit_actor_outside_of_actors(engine: Any) -> None:
    with pytest.raises(TypeError, match="outside of actors"):
        shoal.actor.exit_actor()


@pytest.mark.parametrize("another", [False, True])
def test_handles_end_with_their_session(counter: Any, next_engine: Callable[[], Any], another: bool) -> None:
    method = counter.add
    next_engine()
    if not another:
        SESSION.end()
    for use in (
        lambda: counter.add.remote(1),
        lambda: counter.pair.remote(),
        lambda: method.remote(1),
        lambda: shoal.kill(counter),
        lambda: pickle.dumps(counter),
    ):
        with pytest.raises(SessionEndedError, match="Counter"):
            use()
    assert shoal.is_initialized() == another


def test_classes_outlive_sessions(counter: Any, next_engine: Callable[[], Any]) -> None:
    next_engine()
    assert shoal.get(CounterActor.remote(1).add.remote(1)) == 2
