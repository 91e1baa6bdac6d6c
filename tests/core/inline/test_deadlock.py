"""Waits that can never end are errors at once, and say who waits for what."""

from __future__ import annotations

import threading

import pytest

import shoal
from shoal.exceptions import DeadlockError, GetTimeoutError

pytestmark = pytest.mark.usefixtures("session")


@shoal.remote(num_cpus=0)
class Gate:
    def __init__(self):
        import asyncio

        self._opened = asyncio.Event()

    async def wait(self):
        await self._opened.wait()
        return "open"

    async def open(self):
        self._opened.set()


def test_wait_for_a_signal_that_nobody_sends() -> None:
    @shoal.remote
    def wait_for(gate):
        return shoal.get(gate.wait.remote())

    gate = Gate.remote()
    with pytest.raises(DeadlockError, match="driver waits for task") as caught:
        shoal.get(wait_for.remote(gate))
    story = str(caught.value)
    assert "wait_for" in story
    assert "waits for call Gate.wait" in story
    assert isinstance(caught.value, RuntimeError)


def test_session_goes_on_after_a_deadlock() -> None:
    gate = Gate.remote()
    ref = gate.wait.remote()
    with pytest.raises(DeadlockError):
        shoal.get(ref)
    gate.open.remote()
    assert shoal.get(ref) == "open"


def test_actors_that_call_each_other() -> None:
    @shoal.remote
    class Caller:
        def call(self, others):
            return shoal.get(others[0].call.remote(others[1:]))

    first, second = Caller.remote(), Caller.remote()
    with pytest.raises(DeadlockError, match="its turn at actor Caller"):
        shoal.get(first.call.remote([second, first, second]))


def test_task_that_lacks_resources_which_an_actor_holds() -> None:
    @shoal.remote(num_cpus=4)
    class Holder:
        def ready(self):
            return True

    @shoal.remote(num_cpus=1)
    def task():
        return 1

    holder = Holder.remote()
    shoal.get(holder.ready.remote())
    with pytest.raises(DeadlockError, match=r"waits for 1 CPU \(free: 0 CPU\)"):
        shoal.get(task.remote())


def test_deadlock_that_begins_with_the_end_of_a_task() -> None:
    @shoal.remote
    def quick(ref):
        return 1

    gate = Gate.remote()
    blocked = gate.wait.remote()
    done, _ = shoal.wait([quick.remote([blocked])])
    assert shoal.get(done) == [1]
    refs = [quick.remote([blocked]), blocked]
    with pytest.raises(DeadlockError):
        shoal.get(refs)


def test_wait_and_streams_are_watched_too() -> None:
    gate = Gate.remote()

    @shoal.remote
    def items(gate):
        yield shoal.get(gate.wait.remote())

    with pytest.raises(DeadlockError):
        shoal.wait([gate.wait.remote()])
    with pytest.raises(DeadlockError, match="item 0 of the stream"):
        next(items.remote(gate))


def test_time_limits_are_no_deadlocks() -> None:
    gate = Gate.remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(gate.wait.remote(), timeout=0.01)
    assert shoal.wait([gate.wait.remote()], timeout=0.01)[0] == []


def test_timers_of_async_actors_are_no_deadlocks() -> None:
    @shoal.remote
    class Timed:
        async def later(self):
            import asyncio

            await asyncio.sleep(0.02)
            return "later"

    assert shoal.get(Timed.remote().later.remote()) == "later"


def test_threads_of_the_user_may_still_act() -> None:
    gate = Gate.remote()
    ref = gate.wait.remote()
    may_open = threading.Event()

    def open_gate() -> None:
        may_open.wait()
        shoal.get(gate.open.remote())

    thread = threading.Thread(target=open_gate)
    thread.start()
    threading.Timer(0.02, may_open.set).start()
    assert shoal.get(ref) == "open"
    thread.join()


def test_waiting_threads_of_the_user_are_told_too() -> None:
    gate = Gate.remote()
    errors: list[BaseException] = []
    began = threading.Event()

    def wait() -> None:
        began.set()
        try:
            shoal.get(gate.wait.remote())
        except DeadlockError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    began.wait()
    with pytest.raises(DeadlockError):
        shoal.get(gate.wait.remote())
    thread.join()
    assert len(errors) == 1
