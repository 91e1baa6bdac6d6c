"""Actors: state, construction, ordering, options."""

from __future__ import annotations

import os

import pytest

import shoal
from shoal.exceptions import RayActorError


@pytest.mark.needs("own_processes")
def test_each_actor_has_a_process_of_its_own() -> None:
    @shoal.remote
    class Located:
        def process(self):
            return os.getpid()

    actors = [Located.remote() for _ in range(2)]
    assert len({os.getpid(), *shoal.get([actor.process.remote() for actor in actors])}) == 3


@pytest.mark.short
def test_state_lives_between_calls(counter) -> None:
    assert shoal.get([counter.add.remote(), counter.add.remote(5), counter.read.remote()]) == [1, 6, 6]


def test_actors_are_apart(new_counter) -> None:
    first, second = new_counter(), new_counter(10)
    first.add.remote()
    second.add.remote()
    assert shoal.get([first.read.remote(), second.read.remote()]) == [1, 11]


def test_constructor_arguments() -> None:
    @shoal.remote
    class Holder:
        def __init__(self, a, *rest, key=None):
            self.all = (a, rest, key)

        def read(self):
            return self.all

    assert shoal.get(Holder.remote(1, 2, 3, key="k").read.remote()) == (1, (2, 3), "k")


def test_constructor_takes_references(gate) -> None:
    @shoal.remote
    class Holder:
        def __init__(self, value, nested):
            self.value = value
            self.nested = nested

        def read(self):
            return self.value, shoal.get(self.nested[0])

    holder = Holder.remote(gate.wait.remote(), [shoal.put("nested")])
    gate.open.remote()
    assert shoal.get(holder.read.remote()) == ("open", "nested")


def test_class_without_constructor() -> None:
    @shoal.remote
    class Plain:
        def hello(self):
            return "hello"

    assert shoal.get(Plain.remote().hello.remote()) == "hello"


def test_creation_returns_before_the_constructor_has_run(gate) -> None:
    @shoal.remote(num_cpus=0)
    class Slow:
        def __init__(self, gate):
            shoal.get(gate.wait.remote())

        def ready(self):
            return True

    slow = Slow.remote(gate)
    assert shoal.get(gate.arrivals.remote(1)) == 1
    gate.open.remote()
    assert shoal.get(slow.ready.remote())


def test_error_in_a_method_leaves_the_actor_alive() -> None:
    @shoal.remote
    class Fragile:
        def fail(self):
            raise ValueError("in the method")

        def work(self):
            return "fine"

    actor = Fragile.remote()
    with pytest.raises(ValueError, match="in the method"):
        shoal.get(actor.fail.remote())
    assert shoal.get(actor.work.remote()) == "fine"


@pytest.mark.short
def test_failed_constructor_shows_at_the_first_call() -> None:
    @shoal.remote
    class Broken:
        def __init__(self):
            raise ValueError("in the constructor")

        def work(self):
            pass

    actor = Broken.remote()
    for _ in range(2):
        with pytest.raises(RayActorError, match="in the constructor"):
            shoal.get(actor.work.remote())


def test_failed_argument_of_a_constructor() -> None:
    @shoal.remote
    def fail():
        raise ValueError("upstream")

    @shoal.remote
    class Holder:
        def __init__(self, x):
            pass

        def work(self):
            pass

    with pytest.raises(shoal.exceptions.RayError, match="upstream"):
        shoal.get(Holder.remote(fail.remote()).work.remote())


def test_calls_of_one_caller_run_in_order(log) -> None:
    shoal.get([log.note.remote(i) for i in range(100)])
    assert shoal.get(log.read.remote()) == list(range(100))


@pytest.mark.short
def test_order_holds_when_an_early_call_waits_for_its_argument(gate, log) -> None:
    log.note.remote(gate.wait.remote())
    log.note.remote("second")
    notes = log.read.remote()
    gate.open.remote()
    assert shoal.get(notes) == ["open", "second"]


def test_order_holds_when_a_call_fails_by_its_argument(log) -> None:
    @shoal.remote
    def fail():
        raise ValueError

    log.note.remote(1)
    failed = log.note.remote(fail.remote())
    log.note.remote(2)
    assert shoal.get(log.read.remote()) == [1, 2]
    with pytest.raises(ValueError):
        shoal.get(failed)


def test_order_of_one_task_as_caller(log) -> None:
    @shoal.remote
    def write(log, name):
        shoal.get([log.note.remote((name, i)) for i in range(10)])

    shoal.get([write.remote(log, name) for name in "abc"])
    notes = shoal.get(log.read.remote())
    for name in "abc":
        assert [i for n, i in notes if n == name] == list(range(10))


def test_several_results_of_a_method() -> None:
    @shoal.remote
    class Pairs:
        @shoal.method(num_returns=2)
        def two(self):
            return 1, 2

        def one(self):
            return 1, 2

    actor = Pairs.remote()
    assert shoal.get(list(actor.two.remote())) == [1, 2]
    assert shoal.get(actor.one.remote()) == (1, 2)
    assert shoal.get(actor.one.options(num_returns=2).remote()) == [1, 2]


def test_inherited_methods() -> None:
    class Base:
        def __init__(self):
            self.x = 1

        def base(self):
            return self.x

        def both(self):
            return "base"

    @shoal.remote
    class Derived(Base):
        def both(self):
            return "derived, over " + super().both()

    actor = Derived.remote()
    assert shoal.get([actor.base.remote(), actor.both.remote()]) == [1, "derived, over base"]


def test_static_and_class_methods() -> None:
    @shoal.remote
    class Mixed:
        name = "mixed"

        @staticmethod
        def static(x):
            return x

        @classmethod
        def of_class(cls):
            return cls.name

    actor = Mixed.remote()
    assert shoal.get([actor.static.remote(3), actor.of_class.remote()]) == [3, "mixed"]


def test_attributes_cannot_be_reached() -> None:
    @shoal.remote
    class Holder:
        def __init__(self):
            self.x = 1

        def read(self):
            return self.x

    actor = Holder.remote()
    assert shoal.get(actor.read.remote()) == 1
    with pytest.raises(AttributeError):
        actor.x  # noqa: B018


def test_methods_call_other_methods_directly() -> None:
    @shoal.remote
    class Caller:
        def outer(self):
            return self.inner() + 1

        def inner(self):
            return 1

    assert shoal.get(Caller.remote().outer.remote()) == 2


def test_actors_make_tasks_and_actors(new_counter) -> None:
    @shoal.remote
    def one():
        return 1

    @shoal.remote
    class Parent:
        def __init__(self):
            self.child = new_counter()

        def work(self):
            return shoal.get([one.remote(), self.child.add.remote(4)])

    assert shoal.get(Parent.remote().work.remote()) == [1, 4]


def test_ready_call_and_terminate() -> None:
    @shoal.remote
    class Holder:
        def __init__(self):
            self.x = 5

    actor = Holder.remote()
    assert shoal.get(actor.__ray_ready__.remote()) is True
    assert shoal.get(actor.__ray_call__.remote(lambda self, y: self.x + y, 2)) == 7
    actor.__ray_terminate__.remote()
    with pytest.raises(RayActorError):
        shoal.get(actor.__ray_ready__.remote())


def test_options_leave_the_class_as_it_was(new_counter) -> None:
    @shoal.remote
    class Named:
        def name(self):
            return shoal.get_runtime_context().get_actor_name()

    special = Named.options(name="special").remote()
    assert shoal.get(special.name.remote()) == "special"
    assert not shoal.get(Named.remote().name.remote())


def test_method_arguments_are_copies(log) -> None:
    mine = [1]
    log.note.remote(mine)
    mine.append(2)
    assert shoal.get(log.read.remote()) == [[1]]
    shoal.get(log.read.remote())[0].append(3)
    assert shoal.get(log.read.remote()) == [[1]]


@pytest.mark.needs("deadlock_detection")
@pytest.mark.shoal_only  # hangs on Ray
def test_waiting_in_a_call_for_a_later_one_is_an_error() -> None:
    @shoal.remote
    class Own:
        def method(self):
            return 1

        def ask(self):
            me = shoal.get_runtime_context().current_actor
            return shoal.get(me.method.remote())

    actor = Own.remote()
    with pytest.raises(shoal.exceptions.DeadlockError):
        shoal.get(actor.ask.remote())
    assert shoal.get(actor.method.remote(), timeout=20) == 1
