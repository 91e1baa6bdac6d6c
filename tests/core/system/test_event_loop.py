"""`system/event_loop.py`: calls from other threads, timers, descriptors, errors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from shoal._core.system.event_loop import READ, EventLoop

PATIENCE = 20.0


class Running:
    """A loop on a thread of its own, and the errors that reached its last resort."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.loop = EventLoop(self.errors.append)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.loop.close()


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


def test_calls_from_many_threads_all_run_in_the_order_of_each(running: Running) -> None:
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def call(thread: int) -> None:
        for number in range(200):
            running.loop.call_soon(lambda number=number: seen.append((thread, number)))  # type: ignore[misc]

    threads = [threading.Thread(target=call, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.loop.call_soon(done.set)
    assert done.wait(PATIENCE)
    assert len(seen) == 800
    for thread in range(4):
        assert [number for who, number in seen if who == thread] == list(range(200))


def test_timers_run_in_the_order_of_their_times_and_not_before(running: Running) -> None:
    seen: list[tuple[str, float]] = []
    done = threading.Event()
    start = time.monotonic()

    def plan() -> None:
        running.loop.call_at(start + 0.03, lambda: (seen.append(("late", time.monotonic())), done.set()))
        running.loop.call_at(start + 0.01, lambda: seen.append(("early", time.monotonic())))
        running.loop.call_at(start + 0.02, lambda: seen.append(("never", time.monotonic()))).cancel()

    running.loop.call_soon(plan)
    assert done.wait(PATIENCE)
    assert [name for name, _ in seen] == ["early", "late"]
    assert seen[0][1] >= start + 0.01
    assert seen[1][1] >= start + 0.03


def test_a_call_that_is_not_urgent_wakes_a_loop_that_has_nothing_to_wake_up_for(running: Running) -> None:
    done = threading.Event()
    running.loop.call_within(0.001, done.set)
    assert done.wait(PATIENCE)


def test_a_call_that_is_not_urgent_comes_with_the_next_timer(running: Running) -> None:
    order: list[str] = []
    done = threading.Event()
    armed = threading.Event()

    def arm() -> None:
        running.loop.call_later(0.2, lambda: order.append("timer"))
        armed.set()

    running.loop.call_soon(arm)
    assert armed.wait(PATIENCE)
    running.loop.call_within(1.0, lambda: (order.append("call"), done.set()))
    assert done.wait(PATIENCE)
    assert order[0] == "call", "calls go before timers of the same turn"


def test_a_cancelled_timer_does_not_keep_a_call_waiting(running: Running) -> None:
    done = threading.Event()
    armed = threading.Event()

    def arm() -> None:
        running.loop.call_later(0.5, lambda: None).cancel()
        armed.set()

    running.loop.call_soon(arm)
    assert armed.wait(PATIENCE)
    running.loop.call_within(1.0, done.set)
    assert done.wait(PATIENCE)


def test_calls_that_are_not_urgent_are_never_lost(running: Running) -> None:
    """Whatever the loop does at that moment: timers that are due come and go meanwhile."""
    for _ in range(300):
        done = threading.Event()
        running.loop.call_soon(lambda: running.loop.call_later(0.0001, lambda: None))
        running.loop.call_within(0.002, done.set)
        assert done.wait(PATIENCE)


def test_a_watched_descriptor_is_served_until_it_is_unwatched(running: Running) -> None:
    reading, writing = os.pipe()
    read: list[bytes] = []
    served = threading.Event()

    def on_ready(events: int) -> None:
        read.append(os.read(reading, 100))
        running.loop.unwatch(reading)
        served.set()

    running.loop.call_soon(lambda: running.loop.watch(reading, READ, on_ready))
    os.write(writing, b"first")
    assert served.wait(PATIENCE)
    os.write(writing, b"second")
    after = threading.Event()
    running.loop.call_soon(after.set)
    assert after.wait(PATIENCE)
    assert read == [b"first"]
    os.close(reading)
    os.close(writing)


def test_an_error_in_a_callback_is_reported_and_the_loop_goes_on(running: Running) -> None:
    done = threading.Event()

    def fail() -> None:
        raise ValueError("on purpose")

    running.loop.call_soon(fail)
    running.loop.call_soon(done.set)
    assert done.wait(PATIENCE)
    assert [str(error) for error in running.errors] == ["on purpose"]
