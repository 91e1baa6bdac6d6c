"""Names, namespaces, and how long actors live."""

from __future__ import annotations

import gc

import pytest

import shoal
from shoal.exceptions import RayActorError


@pytest.fixture
def actor_class():
    @shoal.remote(num_cpus=0)
    class Holder:
        def __init__(self, x=0):
            self.x = x

        def read(self):
            return self.x

        def write(self, x):
            self.x = x

    return Holder


def test_actor_is_found_by_its_name(actor_class) -> None:
    actor = actor_class.options(name="one").remote(1)
    found = shoal.get_actor("one")
    assert shoal.get(found.read.remote()) == 1
    shoal.get(found.write.remote(2))
    assert shoal.get(actor.read.remote()) == 2


@pytest.mark.short
def test_actor_is_found_by_tasks_and_actors(actor_class) -> None:
    @shoal.remote
    def look():
        return shoal.get(shoal.get_actor("one").read.remote())

    actor = actor_class.options(name="one").remote(1)
    assert shoal.get(look.remote()) == 1
    del actor


def test_name_is_usable_at_once(actor_class, gate) -> None:
    @shoal.remote(num_cpus=0)
    class Slow:
        def __init__(self, gate):
            shoal.get(gate.wait.remote())

        def work(self):
            return "worked"

    actor = Slow.options(name="slow").remote(gate)
    ref = shoal.get_actor("slow").work.remote()
    gate.open.remote()
    assert shoal.get(ref) == "worked"
    del actor


@pytest.mark.parametrize("name", ["nobody", ""])
def test_unknown_name(name) -> None:
    with pytest.raises(ValueError):
        shoal.get_actor(name)


def test_name_in_use(actor_class) -> None:
    actor = actor_class.options(name="one").remote()
    with pytest.raises(ValueError, match="one"):
        actor_class.options(name="one").remote()
    assert shoal.get(actor.read.remote()) == 0


@pytest.mark.short
def test_get_if_exists(actor_class) -> None:
    options = {"name": "one", "get_if_exists": True}
    first = actor_class.options(**options).remote(1)
    second = actor_class.options(**options).remote(2)
    assert shoal.get(second.read.remote()) == 1
    shoal.get(second.write.remote(3))
    assert shoal.get(first.read.remote()) == 3


def test_get_if_exists_from_many_tasks(actor_class) -> None:
    @shoal.remote
    def write(i):
        actor = actor_class.options(name="one", get_if_exists=True, lifetime="detached").remote()
        shoal.get(actor.write.remote(i))
        return shoal.get(actor.read.remote())

    assert set(shoal.get([write.remote(i) for i in range(6)])) <= set(range(6))
    assert shoal.get(shoal.get_actor("one").read.remote()) in range(6)


def test_namespaces_keep_names_apart(actor_class) -> None:
    here = actor_class.options(name="one").remote("here")
    there = actor_class.options(name="one", namespace="there").remote("there")
    assert shoal.get(shoal.get_actor("one").read.remote()) == "here"
    assert shoal.get(shoal.get_actor("one", namespace="there").read.remote()) == "there"
    with pytest.raises(ValueError):
        shoal.get_actor("one", namespace="nowhere")
    del here, there


def test_list_of_named_actors(actor_class) -> None:
    actors = [actor_class.options(name="one").remote(), actor_class.options(name="two", namespace="there").remote()]
    shoal.get([actor.read.remote() for actor in actors])
    assert shoal.util.list_named_actors() == ["one"]
    rows = shoal.util.list_named_actors(all_namespaces=True)
    assert {"name": "two", "namespace": "there"} in rows
    assert {row["name"] for row in rows} == {"one", "two"}


def test_name_is_free_again_after_kill(actor_class) -> None:
    actor = actor_class.options(name="one").remote(1)
    assert shoal.get(actor.read.remote()) == 1
    shoal.kill(actor)
    with pytest.raises(RayActorError):
        while True:
            shoal.get(actor.read.remote())
    again = actor_class.options(name="one").remote(2)
    assert shoal.get(shoal.get_actor("one").read.remote()) == 2
    del again


def test_actor_ends_with_its_last_handle(actor_class) -> None:
    actor = actor_class.options(name="one").remote()
    found = shoal.get_actor("one")
    assert shoal.get(found.read.remote()) == 0
    del actor
    gc.collect()
    with pytest.raises(RayActorError):
        while True:
            shoal.get(found.read.remote())


def test_calls_made_before_the_last_handle_went_are_done(new_log) -> None:
    refs = [new_log().read.remote() for _ in range(5)]
    gc.collect()
    assert shoal.get(refs) == [[]] * 5


def test_handle_in_an_object_keeps_the_actor_alive(actor_class) -> None:
    actor = actor_class.remote(1)
    ref = shoal.put([actor])
    del actor
    gc.collect()
    assert shoal.get(shoal.get(ref)[0].read.remote()) == 1


def test_handle_in_the_arguments_of_a_waiting_task_keeps_the_actor_alive(actor_class, gate) -> None:
    @shoal.remote
    def read(opened, actors):
        return shoal.get(actors["it"].read.remote())

    ref = read.remote(gate.wait.remote(), {"it": actor_class.remote(3)})
    gc.collect()
    gate.open.remote()
    assert shoal.get(ref) == 3


def test_detached_actor_outlives_its_handles(actor_class) -> None:
    @shoal.remote
    def make():
        actor = actor_class.options(name="lasting", lifetime="detached").remote(1)
        return shoal.get(actor.read.remote())

    assert shoal.get(make.remote()) == 1
    gc.collect()
    found = shoal.get_actor("lasting")
    assert shoal.get(found.read.remote()) == 1
    shoal.kill(found)


def test_handle_returned_by_a_task(actor_class) -> None:
    @shoal.remote
    def make(x):
        return actor_class.remote(x)

    actor = shoal.get(make.remote(7))
    shoal.get(actor.write.remote(8))
    assert shoal.get(actor.read.remote()) == 8


def test_handles_are_passed_around(counter) -> None:
    @shoal.remote
    def add(actor, n):
        return shoal.get(actor.add.remote(n))

    @shoal.remote
    class Adder:
        def __init__(self, actor):
            self.actor = actor

        def add(self, n):
            return shoal.get(self.actor.add.remote(n))

    shoal.get([add.remote(counter, 1) for _ in range(3)])
    shoal.get(Adder.remote(counter).add.remote(10))
    assert shoal.get(counter.read.remote()) == 13


def test_handles_of_one_actor_are_equal(actor_class) -> None:
    actor = actor_class.options(name="one").remote()
    assert actor == shoal.get_actor("one")
    assert hash(actor) == hash(shoal.get_actor("one"))
    assert shoal.get(shoal.put(actor)) == actor
    assert actor != actor_class.remote()


@pytest.mark.short
def test_actor_knows_itself() -> None:
    @shoal.remote
    class Selfish:
        def me(self):
            return shoal.get_runtime_context().current_actor

        def hello(self):
            return "hello"

    actor = Selfish.remote()
    assert shoal.get(shoal.get(actor.me.remote()).hello.remote()) == "hello"
