"""Making the instance of an actor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal._core.process.construction import construct


class Opening:
    async def __init__(self, name: str, *, times: int = 1) -> None:  # type: ignore[misc]
        self.opened = []
        for _ in range(times):
            await asyncio.sleep(0)
            self.opened.append(name)
        self.later = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        self.opened.append("closed")

    async def read(self) -> list[str]:
        await self.later
        return self.opened


class Failing:
    async def __init__(self) -> None:  # type: ignore[misc]
        raise ValueError("cannot open")

    async def read(self) -> None: ...


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def test_ordinary_constructors_are_called() -> None:
    assert construct(dict, ([("a", 1)],), {"b": 2}) == {"a": 1, "b": 2}


def test_coroutines_run_in_the_loop_that_goes_on(loop: asyncio.AbstractEventLoop) -> None:
    made: Any = construct(Opening, ("x",), {"times": 2})
    assert loop.run_until_complete(made.read()) == ["x", "x", "closed"]
    with pytest.raises(ValueError, match="cannot open"):
        construct(Failing, (), {})


@pytest.mark.parametrize("local_mode", [True, False])
def test_actors_with_such_constructors(local_mode: bool) -> None:
    shoal.init(num_cpus=1, local_mode=local_mode)
    try:
        opening: Any = shoal.remote(Opening).remote("x")
        assert shoal.get(opening.read.remote()) == ["x", "closed"]
        failing: Any = shoal.remote(Failing).remote()
        with pytest.raises(shoal.exceptions.ActorDiedError, match="cannot open"):
            shoal.get(failing.read.remote())
    finally:
        shoal.shutdown()
