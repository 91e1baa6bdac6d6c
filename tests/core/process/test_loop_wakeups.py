"""Functions on their way to an asyncio loop."""

from __future__ import annotations

import asyncio
import threading

from shoal._core.process.loop_wakeups import wakeups_of


def test_functions_run_in_order_on_the_loop() -> None:
    async def run() -> list[int]:
        wakeups, done = wakeups_of(loop := asyncio.get_running_loop()), asyncio.Event()
        assert wakeups_of(loop) is wakeups
        ran: list[int] = []

        def call() -> None:
            for number in range(100):
                wakeups.call(lambda number=number: ran.append(number))  # type: ignore[misc]
            wakeups.call(done.set)

        thread = threading.Thread(target=call)
        thread.start()
        await done.wait()
        thread.join()
        return ran

    assert asyncio.run(run()) == list(range(100))


def test_a_loop_that_has_ended_runs_nothing() -> None:
    async def of_this_loop() -> object:
        return wakeups_of(asyncio.get_running_loop())

    wakeups = asyncio.run(of_this_loop())
    for _ in range(2):
        wakeups.call(lambda: None)  # type: ignore[attr-defined]

    async def other_loop() -> object:
        return wakeups_of(asyncio.get_running_loop())

    assert asyncio.run(other_loop()) is not wakeups


def test_those_behind_one_that_raises_are_called_all_the_same() -> None:
    async def run() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        reported: list[object] = []
        loop.set_exception_handler(lambda _, context: reported.append(type(context["exception"])))
        wakeups = wakeups_of(loop)
        for function in (lambda: 1 / 0, done.set):
            wakeups.call(function)  # type: ignore[arg-type]
        await asyncio.wait_for(done.wait(), 30)
        assert reported == [ZeroDivisionError]

    asyncio.run(run())
