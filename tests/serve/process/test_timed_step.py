"""Coroutines whose first step is timed are awaited as if it were not."""

from __future__ import annotations

import asyncio

import pytest

from shoal.serve._internal.process.timed_step import first_step_timed


def run(*steps: object) -> tuple[object, list[float]]:
    """Runs a coroutine that waits once for each step, but returns or raises the last."""
    times: list[float] = []

    async def work() -> object:
        for _ in steps[:-1]:
            await asyncio.sleep(0)
        if isinstance(steps[-1], Exception):
            raise steps[-1]
        return steps[-1]

    async def main() -> object:
        return await first_step_timed(work(), times.append)

    return asyncio.run(main()), times


@pytest.mark.parametrize("waits", [0, 1, 5])
def test_what_is_returned_and_raised(waits: int) -> None:
    value, times = run(*range(waits), "done")
    assert value == "done"
    assert len(times) == 1
    with pytest.raises(ValueError, match="as asked for"):
        run(*range(waits), ValueError("as asked for"))


def test_timeouts_and_cancellation_reach_it() -> None:
    told: list[str] = []
    was_late = asyncio.Event()

    async def patient() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            told.append("too late")
            was_late.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise
        return "never"

    async def main() -> None:
        async def timed() -> str:
            return await first_step_timed(patient(), lambda _: None)

        task = asyncio.create_task(timed())
        await was_late.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 30))
    assert told == ["too late", "cancelled"]
