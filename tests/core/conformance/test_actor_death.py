"""Kill, exit, restart."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import shoal
from shoal.exceptions import ActorDiedError, ActorUnavailableError, RayActorError


@pytest.fixture
def blocked_class():
    @shoal.remote(num_cpus=0)
    class Blocked:
        def wait(self, gate):
            return shoal.get(gate.wait.remote())

        def work(self):
            return "worked"

    return Blocked


def call_until_dead(counter) -> None:
    """Kills take effect soon, not at once: on Ray a call may still slip through."""
    with pytest.raises(RayActorError):
        while True:
            shoal.get(counter.add.remote())


@pytest.mark.short
def test_killed_actor_cannot_be_called(counter) -> None:
    assert shoal.get(counter.add.remote()) == 1
    shoal.kill(counter)
    call_until_dead(counter)


def test_kill_ends_running_and_queued_calls(blocked_class, gate) -> None:
    actor = blocked_class.remote()
    running, queued = actor.wait.remote(gate), actor.work.remote()
    shoal.get(gate.arrivals.remote(1))
    shoal.kill(actor)
    for ref in (running, queued):
        with pytest.raises(RayActorError):
            shoal.get(ref)


def test_kill_ends_calls_by_name_where_the_first_handle_is_gone() -> None:
    @shoal.remote(num_cpus=0)
    class Waits:
        async def wait(self):
            await asyncio.Event().wait()

        async def work(self):
            pass

    first = Waits.options(name="found", lifetime="detached").remote()
    shoal.get(first.work.remote())
    del first
    actor = shoal.get_actor("found")
    shoal.get(actor.work.remote())
    running = actor.wait.remote()
    shoal.get(actor.work.remote())
    shoal.kill(actor)
    with pytest.raises(RayActorError):
        shoal.get(running, timeout=30)


def test_kill_before_the_constructor_has_run(gate) -> None:
    @shoal.remote(num_cpus=0)
    class Slow:
        def __init__(self, gate):
            shoal.get(gate.wait.remote())

        def work(self):
            pass

    actor = Slow.remote(gate)
    ref = actor.work.remote()
    shoal.get(gate.arrivals.remote(1))
    shoal.kill(actor)
    with pytest.raises(RayActorError):
        shoal.get(ref)


def test_kill_twice(counter) -> None:
    shoal.get(counter.add.remote())
    shoal.kill(counter)
    shoal.kill(counter)
    call_until_dead(counter)


def test_kill_from_a_task(counter) -> None:
    @shoal.remote
    def kill(actor):
        shoal.kill(actor)

    shoal.get(counter.add.remote())
    shoal.get(kill.remote(counter))
    call_until_dead(counter)


def test_results_outlive_their_actor(counter) -> None:
    ref = counter.add.remote(5)
    shoal.wait([ref])
    shoal.kill(counter)
    assert shoal.get(ref) == 5


def test_exit_actor_ends_the_call_and_the_actor() -> None:
    @shoal.remote(max_restarts=3)
    class Leaver:
        def leave(self):
            shoal.actor.exit_actor()

        def work(self):
            return "worked"

    actor = Leaver.remote()
    assert shoal.get(actor.work.remote()) == "worked"
    for ref in (actor.leave.remote(), actor.work.remote()):
        with pytest.raises(RayActorError):
            shoal.get(ref)


def test_exit_actor_in_an_async_actor() -> None:
    @shoal.remote
    class Leaver:
        async def leave(self):
            shoal.actor.exit_actor()

        async def work(self):
            return "worked"

    actor = Leaver.remote()
    assert shoal.get(actor.work.remote()) == "worked"
    with pytest.raises(RayActorError):
        shoal.get(actor.leave.remote())
    with pytest.raises(RayActorError):
        shoal.get(actor.work.remote())


def test_exit_actor_outside_an_actor() -> None:
    with pytest.raises(TypeError):
        shoal.actor.exit_actor()


@pytest.mark.short
def test_restart_runs_the_constructor_again(counter) -> None:
    @shoal.remote(max_restarts=1)
    class Holder:
        def __init__(self, counter, x):
            self.life = shoal.get(counter.add.remote())
            self.x = x

        def write(self, x):
            self.x = x

        def read(self):
            return self.life, self.x

    actor = Holder.remote(counter, "original")
    shoal.get(actor.write.remote("changed"))
    assert shoal.get(actor.read.remote()) == (1, "changed")
    shoal.kill(actor, no_restart=False)
    state = None
    while state is None or state[0] == 1:  # calls may reach the old life, or none, until the kill has taken effect
        with contextlib.suppress(RayActorError):
            state = shoal.get(actor.read.remote())
    assert state == (2, "original")


def test_restarts_are_limited(counter) -> None:
    @shoal.remote(max_restarts=1)
    class Holder:
        def __init__(self, counter):
            shoal.get(counter.add.remote())

        def work(self):
            return True

    actor = Holder.remote(counter)
    assert shoal.get(actor.work.remote())
    with pytest.raises(ActorDiedError):
        while True:
            shoal.kill(actor, no_restart=False)
            with contextlib.suppress(ActorUnavailableError):
                shoal.get(actor.work.remote())
    assert shoal.get(counter.read.remote()) <= 2  # a life may be killed before its constructor has counted


def test_kill_without_restart_is_final() -> None:
    @shoal.remote(max_restarts=-1)
    class Holder:
        def work(self):
            return True

    actor = Holder.remote()
    assert shoal.get(actor.work.remote())
    shoal.kill(actor)
    with pytest.raises(ActorDiedError):
        while True:
            shoal.get(actor.work.remote())


def test_restarted_actor_says_so() -> None:
    @shoal.remote(max_restarts=1, max_task_retries=-1)
    class Holder:
        def restarted(self):
            return shoal.get_runtime_context().was_current_actor_reconstructed

    actor = Holder.remote()
    assert shoal.get(actor.restarted.remote()) is False
    shoal.kill(actor, no_restart=False)
    while not shoal.get(actor.restarted.remote()):  # calls may reach the old life until the kill has taken effect
        pass


def test_calls_with_retries_survive_a_restart(blocked_class, gate) -> None:
    actor = blocked_class.options(max_restarts=1, max_task_retries=1).remote()
    refs = [actor.wait.remote(gate), actor.work.remote()]
    shoal.get(gate.arrivals.remote(1))
    shoal.kill(actor, no_restart=False)
    shoal.get(gate.arrivals.remote(2))
    gate.open.remote()
    assert shoal.get(refs) == ["open", "worked"]


def test_running_call_without_retries_fails_at_a_restart(blocked_class, gate) -> None:
    actor = blocked_class.options(max_restarts=1).remote()
    running = actor.wait.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.kill(actor, no_restart=False)
    with pytest.raises(RayActorError):
        shoal.get(running)


def test_death_names_the_actor(counter) -> None:
    shoal.get(counter.add.remote())
    shoal.kill(counter)
    with pytest.raises(ActorDiedError) as caught:
        while True:
            shoal.get(counter.add.remote())
    assert caught.value.actor_id == counter._actor_id.hex()


def test_actors_end_with_the_actor_that_made_them() -> None:
    @shoal.remote
    class Child:
        def work(self):
            return "worked"

    @shoal.remote
    class Parent:
        def make(self):
            self.child = Child.remote()
            return self.child

    parent = Parent.remote()
    child = shoal.get(parent.make.remote())
    assert shoal.get(child.work.remote()) == "worked"
    shoal.kill(parent)
    with pytest.raises(RayActorError):
        while True:
            shoal.get(child.work.remote())


def test_detached_actors_outlive_the_actor_that_made_them() -> None:
    @shoal.remote
    class Child:
        def work(self):
            return "worked"

    @shoal.remote
    class Parent:
        def make(self):
            Child.options(name="lasting", lifetime="detached").remote()

        def end(self):
            shoal.actor.exit_actor()

    parent = Parent.remote()
    shoal.get(parent.make.remote())
    with pytest.raises(RayActorError):
        shoal.get(parent.end.remote())
    child = shoal.get_actor("lasting")
    assert shoal.get(child.work.remote()) == "worked"
    shoal.kill(child)
