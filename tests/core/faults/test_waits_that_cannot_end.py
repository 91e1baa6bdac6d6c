"""No silent hang: a wait that can never end is an error, or is explained to the user."""

from __future__ import annotations

import asyncio

import pytest

import shoal
from shoal import engines
from shoal.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    InfeasibleResourcesError,
    ObjectStoreFullError,
    OwnerDiedError,
    TaskError,
)


@pytest.fixture
def impatient():
    """Long waits are explained after a moment, not after ten seconds."""
    engines.current().references.patience = 0.2


def test_infeasible_task() -> None:
    @shoal.remote(num_cpus=64)
    def huge():
        pass

    with pytest.raises(InfeasibleResourcesError, match="64") as caught:
        shoal.get(huge.remote(), timeout=20)
    assert "CPU" in str(caught.value)
    assert "huge" in str(caught.value)


def test_infeasible_custom_resource() -> None:
    @shoal.remote(resources={"unicorn": 1})
    def rare():
        pass

    with pytest.raises(InfeasibleResourcesError, match="unicorn"):
        shoal.get(rare.remote(), timeout=20)


def test_infeasible_actor() -> None:
    @shoal.remote(num_cpus=64)
    class Huge:
        def ping(self):
            pass

    with pytest.raises((InfeasibleResourcesError, ActorDiedError), match="64"):
        shoal.get(Huge.remote().ping.remote(), timeout=20)


def test_infeasible_from_inside_a_task() -> None:
    @shoal.remote(num_cpus=64)
    def huge():
        pass

    @shoal.remote
    def outer():
        return shoal.get(huge.remote())

    with pytest.raises((InfeasibleResourcesError, TaskError), match="64"):
        shoal.get(outer.remote(), timeout=20)


@pytest.mark.session(num_cpus=1)
def test_deep_recursion_of_tasks_on_one_cpu() -> None:
    @shoal.remote
    def down(n):
        return 0 if n == 0 else 1 + shoal.get(down.remote(n - 1))

    assert shoal.get(down.remote(12), timeout=50) == 12


@pytest.mark.session(num_cpus=1)
def test_wide_recursion_of_tasks_on_one_cpu() -> None:
    @shoal.remote
    def tree(n):
        return 1 if n == 0 else sum(shoal.get([tree.remote(n - 1), tree.remote(n - 1)]))

    assert shoal.get(tree.remote(3), timeout=50) == 8


@pytest.mark.session(num_cpus=2)
def test_actors_that_hold_every_cpu(impatient, capfd, eventually) -> None:
    @shoal.remote(num_cpus=1)
    class Holder:
        def ping(self):
            return "pong"

    @shoal.remote
    def work():
        return "done"

    holders = [Holder.remote() for _ in range(2)]
    shoal.get([holder.ping.remote() for holder in holders], timeout=20)
    ref = work.remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(ref, timeout=1)
    said = capfd.readouterr().err
    assert "work" in said
    assert "Holder" in said
    assert "CPU" in said
    shoal.kill(holders.pop())
    assert shoal.get(ref, timeout=20) == "done"


def test_task_that_waits_for_itself(program) -> None:
    """It gets its own reference in a list, from an actor. Its owner sees that, and tells it."""
    driver = program(
        """
        begin()
        engines.current().references.patience = 0.3

        @shoal.remote(num_cpus=0)
        class Box:
            def __init__(self):
                import asyncio
                self.filled = asyncio.Event()
            async def fill(self, refs):
                self.refs = refs
                self.filled.set()
            async def take(self):
                await self.filled.wait()
                return self.refs

        @shoal.remote
        def ouroboros(box):
            (me,) = shoal.get(box.take.remote())
            return shoal.get(me)

        box = Box.remote()
        ref = ouroboros.remote(box)
        shoal.get(box.fill.remote([ref]))
        try:
            shoal.get(ref, timeout=30)
        except shoal.exceptions.DeadlockError as error:
            print("raised", "waits for its own result" in str(error), flush=True)
        """
    )
    session = driver.session()
    assert driver.until("raised") == "raised True"
    assert driver.end() == 0
    session.wait_until_gone()


def test_constructor_that_raises() -> None:
    @shoal.remote
    class Broken:
        def __init__(self):
            raise ValueError("no such luck")

        def ping(self):
            pass

    actor = Broken.remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="no such luck") as caught:
            shoal.get(actor.ping.remote(), timeout=20)
        assert isinstance(caught.value.cause, ValueError)
        assert caught.value.actor_init_failed


def test_constructor_that_raises_every_time_it_is_restarted() -> None:
    @shoal.remote(max_restarts=2, max_task_retries=-1)
    class Broken:
        def __init__(self):
            raise ValueError("no such luck")

        def ping(self):
            pass

    with pytest.raises(ActorDiedError, match="no such luck"):
        shoal.get(Broken.remote().ping.remote(), timeout=20)


def test_constructor_that_kills_its_process() -> None:
    @shoal.remote
    class Suicidal:
        def __init__(self):
            import os

            os._exit(3)

        def ping(self):
            pass

    with pytest.raises(ActorDiedError) as caught:
        shoal.get(Suicidal.remote().ping.remote(), timeout=20)
    assert caught.value.death.exit_code == 3


def test_value_of_a_dead_owner(session) -> None:
    @shoal.remote
    class Owner:
        def pid(self):
            import os

            return os.getpid()

        def make(self, value):
            return [shoal.put(value)]

    owner = Owner.remote()
    (small,) = shoal.get(owner.make.remote(1), timeout=20)
    (large,) = shoal.get(owner.make.remote(bytes(1 << 20)), timeout=20)
    session.kill(shoal.get(owner.pid.remote(), timeout=20))
    for ref in (small, large):
        with pytest.raises(OwnerDiedError) as caught:
            shoal.get(ref, timeout=20)
        assert ref.hex() in str(caught.value)


def test_owner_that_dies_while_others_wait(session, meeting, arrive) -> None:
    @shoal.remote
    def never(name):
        arrive(name)

    @shoal.remote
    class Owner:
        def pid(self):
            import os

            return os.getpid()

        def make(self, name):
            return [never.remote(name)]

    owner = Owner.remote()
    pid = shoal.get(owner.pid.remote(), timeout=20)
    (ref,) = shoal.get(owner.make.remote(meeting.name), timeout=20)
    meeting.arrival()
    assert shoal.wait([ref], timeout=0.1) == ([], [ref])
    session.kill(pid)
    assert shoal.wait([ref], timeout=20) == ([ref], [])
    with pytest.raises(OwnerDiedError):
        shoal.get(ref, timeout=20)


def test_argument_of_a_dead_owner(session) -> None:
    """A task that needs it fails with the cause; it does not wait for ever."""

    @shoal.remote
    class Owner:
        def pid(self):
            import os

            return os.getpid()

        def make(self):
            return [shoal.put(bytes(1 << 20))]

    @shoal.remote
    def use(value):
        return len(value)

    owner = Owner.remote()
    (ref,) = shoal.get(owner.make.remote(), timeout=20)
    session.kill(shoal.get(owner.pid.remote(), timeout=20))
    with pytest.raises(OwnerDiedError):
        shoal.get(use.remote(ref), timeout=20)


def test_task_that_waits_for_a_dead_actor(session) -> None:
    @shoal.remote(num_cpus=0)
    class Gate:
        def pid(self):
            import os

            return os.getpid()

        async def never(self):
            await asyncio.Event().wait()

    @shoal.remote
    def wait_at(gate):
        return shoal.get(gate.never.remote())

    gate = Gate.remote()
    pid = shoal.get(gate.pid.remote(), timeout=20)
    ref = wait_at.remote(gate)
    with pytest.raises(GetTimeoutError):
        shoal.get(ref, timeout=0.2)
    session.kill(pid)
    with pytest.raises(ActorDiedError, match="SIGKILL"):
        shoal.get(ref, timeout=20)


def test_blocked_event_loop_of_an_async_actor(impatient, capfd) -> None:
    """A blocking call holds the loop up: later calls wait, the wait is explained, and the actor can be killed."""

    @shoal.remote
    class Blocked:
        async def block(self):
            import time

            time.sleep(1000)  # noqa: ASYNC251

        async def ping(self):
            return "pong"

    actor = Blocked.remote()
    assert shoal.get(actor.ping.remote(), timeout=20) == "pong"
    running, waiting = actor.block.remote(), actor.ping.remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(waiting, timeout=1)
    assert "Blocked.ping" in capfd.readouterr().err
    shoal.kill(actor)
    for ref in (running, waiting):
        with pytest.raises(ActorDiedError):
            shoal.get(ref, timeout=20)


STORE = 64 << 20


@pytest.mark.session(object_store_memory=STORE, _system_config={"store_patience_s": 0.5})
def test_store_full_of_values_in_use() -> None:
    held = [shoal.get(shoal.put(bytes(STORE // 8))) for _ in range(1)]
    refs = []
    with pytest.raises(ObjectStoreFullError) as caught:
        for _ in range(20):
            refs.append(shoal.put(_array(STORE // 8)))
            held.append(shoal.get(refs[-1]))
    text = str(caught.value)
    assert "in use by values that are still alive" in text
    assert "object_store_memory" in text
    held.clear()
    refs.clear()
    assert len(shoal.get(shoal.put(bytes(STORE // 2)), timeout=20)) == STORE // 2


@pytest.mark.session(object_store_memory=STORE, _system_config={"store_patience_s": 0.5})
def test_object_larger_than_the_store() -> None:
    with pytest.raises(ObjectStoreFullError, match="larger than the whole store"):
        shoal.put(bytes(2 * STORE))


@pytest.mark.session(object_store_memory=STORE)
def test_more_than_the_store_holds_goes_to_disk() -> None:
    refs = [shoal.put(bytes([n]) * (STORE // 4)) for n in range(12)]
    for n, ref in enumerate(refs):
        value = shoal.get(ref, timeout=20)
        assert value[0] == value[-1] == n
        del value


def _array(size):
    import numpy

    return numpy.zeros(size, dtype=numpy.uint8)


@pytest.mark.session(resources={"slot": 1})
def test_a_wait_in_a_task_is_explained_on_the_driver(capfd, eventually) -> None:
    """The driver itself waits for nothing: it is told what its task waits for, and who holds that."""

    @shoal.remote(num_cpus=0, resources={"slot": 1})
    class Holder:
        def ready(self):
            pass

    @shoal.remote(num_cpus=0, resources={"slot": 1})
    def needs_a_slot():
        pass

    @shoal.remote(num_cpus=0)
    def outer():
        engines.current().references.patience = 0.2
        shoal.get(needs_a_slot.remote())
        return "done"

    holder = Holder.remote()
    shoal.get(holder.ready.remote(), timeout=20)
    ref = outer.remote()
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return "needs_a_slot" in said

    eventually(is_said, "the wait is explained")
    assert "outer (pid=" in said
    assert "Holder" in said
    shoal.kill(holder)
    assert shoal.get(ref, timeout=20) == "done"
