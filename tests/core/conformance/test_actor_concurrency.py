"""Async actors, threaded actors, concurrency groups, limits on pending calls."""

from __future__ import annotations

import asyncio
import threading

import pytest

import shoal
from shoal.exceptions import PendingCallsLimitExceeded


@pytest.mark.short
@pytest.mark.needs("async_actors")
def test_async_methods_run_side_by_side(gate) -> None:
    refs = [gate.wait.remote() for _ in range(20)]
    assert shoal.get(gate.arrivals.remote(20)) == 20
    gate.open.remote()
    assert shoal.get(refs) == ["open"] * 20


@pytest.mark.needs("async_actors")
def test_async_methods_await_references(gate) -> None:
    @shoal.remote
    def one():
        return 1

    @shoal.remote
    class Awaiting:
        async def both(self, gate):
            return await gate.wait.remote(), await asyncio.gather(one.remote(), one.remote())

        async def fail(self):
            @shoal.remote
            def fail():
                raise ValueError("awaited")

            await fail.remote()

    actor = Awaiting.remote()
    ref = actor.both.remote(gate)
    gate.open.remote()
    assert shoal.get(ref) == ("open", [1, 1])
    with pytest.raises(ValueError, match="awaited"):
        shoal.get(actor.fail.remote())


@pytest.mark.needs("async_actors")
def test_async_concurrency_is_limited(gate) -> None:
    @shoal.remote(max_concurrency=2)
    class Limited:
        def __init__(self):
            self.running = self.most = 0

        async def work(self, gate):
            self.running += 1
            self.most = max(self.most, self.running)
            await gate.wait.remote()
            self.running -= 1
            return self.most

    actor = Limited.remote()
    refs = [actor.work.remote(gate) for _ in range(6)]
    shoal.get(gate.arrivals.remote(2))
    gate.open.remote()
    assert max(shoal.get(refs)) == 2


@pytest.mark.needs("async_actors")
def test_sync_methods_of_an_async_actor_share_its_thread() -> None:
    @shoal.remote
    class Mixed:
        async def asynchronous(self):
            return threading.get_ident()

        def synchronous(self):
            return threading.get_ident()

    actor = Mixed.remote()
    assert len(set(shoal.get([actor.asynchronous.remote(), actor.synchronous.remote()]))) == 1


@pytest.mark.needs("async_actors")
def test_async_constructor_work_and_timers() -> None:
    @shoal.remote
    class Timed:
        async def later(self):
            await asyncio.sleep(0.01)
            return "later"

        async def limit(self):
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
            except TimeoutError:
                return "limited"

    actor = Timed.remote()
    assert shoal.get([actor.later.remote(), actor.limit.remote()]) == ["later", "limited"]


@pytest.mark.needs("async_actors")
def test_async_actor_runs_work_in_threads() -> None:
    @shoal.remote
    class Threads:
        async def work(self):
            return await asyncio.to_thread(lambda: 5)

    assert shoal.get(Threads.remote().work.remote()) == 5


@pytest.mark.needs("async_actors")
def test_background_task_of_an_async_actor(gate) -> None:
    @shoal.remote
    class Background:
        def __init__(self):
            self.result = None
            self.done = asyncio.Event()

        async def begin(self, gate):
            self.task = asyncio.create_task(self.follow(gate))

        async def follow(self, gate):
            self.result = await gate.wait.remote()
            self.done.set()

        async def read(self):
            await self.done.wait()
            return self.result

    actor = Background.remote()
    shoal.get(actor.begin.remote(gate))
    ref = actor.read.remote()
    gate.open.remote()
    assert shoal.get(ref) == "open"


@pytest.mark.short
@pytest.mark.needs("threaded_actors")
def test_threaded_methods_run_side_by_side(gate) -> None:
    @shoal.remote(max_concurrency=3)
    class Threaded:
        def wait(self, gate):
            return shoal.get(gate.wait.remote())

        def open(self, gate):
            shoal.get(gate.arrivals.remote(2))
            shoal.get(gate.open.remote())
            return "opened"

    actor = Threaded.remote()
    refs = [actor.wait.remote(gate), actor.wait.remote(gate), actor.open.remote(gate)]
    assert shoal.get(refs) == ["open", "open", "opened"]


@pytest.mark.needs("threaded_actors")
def test_threads_are_limited(gate) -> None:
    @shoal.remote(max_concurrency=2)
    class Threaded:
        def wait(self, gate):
            return shoal.get(gate.wait.remote())

    actor = Threaded.remote()
    refs = [actor.wait.remote(gate) for _ in range(4)]
    assert shoal.get(gate.arrivals.remote(2)) == 2
    assert shoal.wait(refs, timeout=0)[0] == []
    gate.open.remote()
    assert shoal.get(refs) == ["open"] * 4
    assert shoal.get(gate.arrivals.remote(4)) == 4


@pytest.mark.needs("async_actors")
def test_concurrency_groups_of_an_async_actor(new_gate) -> None:
    @shoal.remote(concurrency_groups={"io": 2, "compute": 1})
    class Grouped:
        @shoal.method(concurrency_group="io")
        async def io(self, gate):
            return await gate.wait.remote()

        @shoal.method(concurrency_group="compute")
        async def compute(self):
            return "computed"

        async def default(self):
            return "default"

    actor = Grouped.remote()
    gate = new_gate()
    blocked = [actor.io.remote(gate) for _ in range(3)]
    assert shoal.get(gate.arrivals.remote(2)) == 2
    assert shoal.get([actor.compute.remote(), actor.default.remote()]) == ["computed", "default"]
    assert shoal.get(actor.default.options(concurrency_group="compute").remote()) == "default"
    gate.open.remote()
    assert shoal.get(blocked) == ["open"] * 3


@pytest.mark.needs("threaded_actors")
def test_concurrency_groups_of_a_sync_actor(gate) -> None:
    @shoal.remote(concurrency_groups={"io": 1})
    class Grouped:
        @shoal.method(concurrency_group="io")
        def io(self, gate):
            return shoal.get(gate.wait.remote())

        def default(self):
            return "default"

    actor = Grouped.remote()
    blocked = actor.io.remote(gate)
    assert shoal.get(gate.arrivals.remote(1)) == 1
    assert shoal.get(actor.default.remote()) == "default"
    gate.open.remote()
    assert shoal.get(blocked) == "open"


def test_unknown_concurrency_group(counter) -> None:
    with pytest.raises((ValueError, shoal.exceptions.RayError)):
        shoal.get(counter.add.options(concurrency_group="nowhere").remote())


def test_pending_calls_are_limited(gate) -> None:
    @shoal.remote(max_pending_calls=2)
    class Limited:
        def wait(self, gate):
            return shoal.get(gate.wait.remote())

    actor = Limited.remote()
    refs = [actor.wait.remote(gate), actor.wait.remote(gate)]
    with pytest.raises(PendingCallsLimitExceeded):
        actor.wait.remote(gate)
    gate.open.remote()
    assert shoal.get(refs) == ["open", "open"]
    assert shoal.get(actor.wait.remote(gate)) == "open"


def test_ordered_execution_cannot_be_asked_of_async_actors() -> None:
    with pytest.raises(ValueError):

        @shoal.remote(allow_out_of_order_execution=False)
        class Async:
            async def work(self):
                pass

        Async.remote()


def test_out_of_order_execution_of_a_sync_actor(gate, new_log) -> None:
    @shoal.remote(allow_out_of_order_execution=True)
    class Log:
        def __init__(self):
            self.notes = []

        def note(self, x):
            self.notes.append(x)

        def read(self):
            return self.notes

    log = Log.remote()
    late = log.note.remote(gate.wait.remote())
    shoal.get(log.note.remote("early"))
    gate.open.remote()
    shoal.get(late)
    assert shoal.get(log.read.remote()) == ["early", "open"]


@pytest.mark.needs("async_actors")
def test_error_in_one_async_call_leaves_the_others(gate) -> None:
    @shoal.remote
    class Actor:
        async def wait(self, gate):
            return await gate.wait.remote()

        async def fail(self):
            raise ValueError("alone")

    actor = Actor.remote()
    waiting = actor.wait.remote(gate)
    with pytest.raises(ValueError, match="alone"):
        shoal.get(actor.fail.remote())
    gate.open.remote()
    assert shoal.get(waiting) == "open"


def test_blocked_actor_lets_others_run(new_counter, gate) -> None:
    @shoal.remote
    class Blocked:
        def wait(self, gate):
            return shoal.get(gate.wait.remote())

    refs = [Blocked.remote().wait.remote(gate) for _ in range(3)]
    counter = new_counter()
    assert shoal.get(counter.add.remote()) == 1
    del refs
