"""The loop that runs coroutines ahead: what becomes of those that nobody wants any more."""

from __future__ import annotations

import asyncio
import inspect
import threading

from shoal.data._internal.execution.async_calls import AT_A_TIME, AsyncCalls


async def value(number: int) -> int:
    await asyncio.sleep(0)
    return number


def test_results_come_in_order() -> None:
    calls = AsyncCalls()
    found = [(key, future.result()) for key, future in calls.in_order((str(i), value(i)) for i in range(20))]
    assert found == [(str(i), i) for i in range(20)]


def test_those_that_have_not_begun_are_closed() -> None:
    calls = AsyncCalls()
    arrived, leave = threading.Event(), threading.Event()

    async def keeps_the_loop() -> int:
        arrived.set()
        leave.wait()
        return -1

    ahead = [value(i) for i in range(AT_A_TIME)]
    running = calls.in_order(enumerate([keeps_the_loop(), *ahead]))
    next(running)
    assert arrived.wait(20)
    running.close()
    leave.set()
    assert [future.result() for _, future in calls.in_order([(0, value(7))])] == [7]
    states = [inspect.getcoroutinestate(one) for one in ahead]
    assert states == [inspect.CORO_CLOSED] * (AT_A_TIME - 1) + [inspect.CORO_CREATED]
    ahead[-1].close()  # Was never given to the loop.


def test_those_that_have_begun_are_cancelled() -> None:
    calls = AsyncCalls()
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    running = calls.in_order([(0, value(0)), (1, waits())])
    _, future = next(running)
    future.result()
    assert [one.result() for _, one in calls.in_order([(0, value(7))])] == [7]
    running.close()
    assert [one.result() for _, one in calls.in_order([(0, value(8))])] == [8]
    assert ended == ["cancelled"]
