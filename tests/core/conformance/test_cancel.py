"""Cancelling tasks and actor calls."""

from __future__ import annotations

import asyncio

import pytest

import shoal
from shoal.exceptions import TaskCancelledError, WorkerCrashedError


@pytest.fixture
def wait_for():
    @shoal.remote
    def wait_for(gate):
        return shoal.get(gate.wait.remote())

    return wait_for


@pytest.mark.short
def test_pending_task_is_dropped(gate, counter) -> None:
    @shoal.remote
    def count(opened, counter):
        shoal.get(counter.add.remote())

    ref = count.remote(gate.wait.remote(), counter)
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    gate.open.remote()
    assert shoal.get(counter.read.remote()) == 0


@pytest.mark.short
@pytest.mark.needs("cancel_running")
def test_running_task_is_interrupted(wait_for, gate) -> None:
    ref = wait_for.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)


@pytest.mark.needs("cancel_running")
def test_interrupted_task_sees_a_keyboard_interrupt(gate, log) -> None:
    @shoal.remote
    def note_interrupt(gate, log):
        try:
            shoal.get(gate.wait.remote())
        except KeyboardInterrupt:
            shoal.get(log.note.remote("interrupted"))
            raise
        finally:
            shoal.get(log.note.remote("cleaned up"))

    ref = note_interrupt.remote(gate, log)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert shoal.get(log.read.remote()) == ["interrupted", "cleaned up"]


@pytest.mark.needs("cancel_running", "process_isolation")
def test_computing_task_is_interrupted(gate) -> None:
    @shoal.remote
    def spin(gate):
        gate.wait.remote()
        while True:
            pass

    ref = spin.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)


@pytest.mark.needs("force_cancel")
def test_forced_cancellation_ends_the_worker(wait_for, gate) -> None:
    ref = wait_for.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref, force=True)
    with pytest.raises((WorkerCrashedError, TaskCancelledError)):
        shoal.get(ref)


@pytest.mark.shoal_only  # by cancelling what has just ended Ray 2.60 now and then ends the program (a check in its task manager)
def test_finished_task_stays_finished() -> None:
    @shoal.remote
    def one():
        return 1

    ref = one.remote()
    assert shoal.get(ref) == 1
    shoal.cancel(ref)
    assert shoal.get(ref) == 1


@pytest.mark.needs("cancel_running")
def test_cancelled_tasks_are_not_retried(gate, counter) -> None:
    @shoal.remote(retry_exceptions=True, max_retries=3)
    def attempt(gate, counter):
        shoal.get(counter.add.remote())
        shoal.get(gate.wait.remote())

    ref = attempt.remote(gate, counter)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert shoal.get(counter.read.remote()) == 1


@pytest.mark.needs("cancel_running")
def test_children_are_cancelled_too(wait_for, gate, log) -> None:
    @shoal.remote
    def parent(gate, log):
        child = wait_for.remote(gate)
        shoal.get(log.note.remote([child]))
        shoal.get([child, wait_for.remote(gate)])

    ref = parent.remote(gate, log)
    # The second child comes when the first has been noted.
    shoal.get(gate.arrivals.remote(2))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    [[child]] = shoal.get(log.read.remote())
    with pytest.raises(TaskCancelledError):
        shoal.get(child)


@pytest.mark.needs("cancel_running")
def test_children_can_be_spared(wait_for, gate, log) -> None:
    @shoal.remote
    def parent(gate, log):
        child = wait_for.remote(gate)
        shoal.get(log.note.remote([child]))
        shoal.get([child, wait_for.remote(gate)])

    ref = parent.remote(gate, log)
    shoal.get(gate.arrivals.remote(2))
    shoal.cancel(ref, recursive=False)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    gate.open.remote()
    assert shoal.get(shoal.get(log.read.remote())[0]) == ["open"]


@pytest.mark.needs("cancel_running")
def test_task_that_uses_a_cancelled_result(wait_for, gate, counter) -> None:
    @shoal.remote
    def use(x, counter):
        shoal.get(counter.add.remote())

    upstream = wait_for.remote(gate)
    downstream = use.remote(upstream, counter)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(upstream)
    with pytest.raises(TaskCancelledError):
        shoal.get(downstream)
    assert shoal.get(counter.read.remote()) == 0


@pytest.mark.needs("cancel_running")
@pytest.mark.shoal_only  # by cancelling what has just ended Ray 2.60 now and then ends the program (a check in its task manager)
def test_cancelling_twice(wait_for, gate) -> None:
    ref = wait_for.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    shoal.cancel(ref)


@pytest.mark.needs("cancel_queued_calls")
@pytest.mark.shoal_only  # Ray cannot tell before the running call ends
def test_queued_actor_call_is_dropped(gate) -> None:
    @shoal.remote
    class Actor:
        def __init__(self):
            self.count = 0

        def wait(self, gate):
            return shoal.get(gate.wait.remote())

        def add(self):
            self.count += 1
            return self.count

    actor = Actor.remote()
    running, queued = actor.wait.remote(gate), actor.add.remote()
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(queued)
    with pytest.raises(TaskCancelledError):
        shoal.get(queued)
    gate.open.remote()
    assert shoal.get(running) == "open"
    assert shoal.get(actor.add.remote()) == 1


@pytest.mark.short
@pytest.mark.needs("async_actors")
def test_running_async_call_gets_a_cancellation(gate) -> None:
    @shoal.remote
    class Actor:
        async def wait(self, gate):
            try:
                await gate.wait.remote()
            except asyncio.CancelledError:
                gate.wait.remote()  # tells of it; Ray may interrupt what is awaited here
                raise

        async def work(self):
            return "alive"

    actor = Actor.remote()
    ref = actor.wait.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert shoal.get(actor.work.remote()) == "alive"
    assert shoal.get(gate.arrivals.remote(2)) == 2


def test_running_sync_call_is_only_told(gate) -> None:
    @shoal.remote
    class Actor:
        def wait(self, gate):
            gate.wait.remote()
            while not shoal.get_runtime_context().is_canceled():
                pass
            return "told"

        def work(self):
            return "alive"

    actor = Actor.remote()
    ref = actor.wait.remote(gate)
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert shoal.get(actor.work.remote()) == "alive"


def test_actor_calls_cannot_be_forced(gate) -> None:
    ref = gate.wait.remote()
    with pytest.raises(ValueError):
        shoal.cancel(ref, force=True)


@pytest.mark.needs("cancel_running", "streaming")
def test_generator_can_be_cancelled(gate) -> None:
    @shoal.remote
    def items(gate):
        yield 1
        shoal.get(gate.wait.remote())
        yield 2

    generator = items.remote(gate)
    assert shoal.get(next(generator)) == 1
    shoal.get(gate.arrivals.remote(1))
    shoal.cancel(generator)
    with pytest.raises(TaskCancelledError):
        shoal.get(next(generator))
