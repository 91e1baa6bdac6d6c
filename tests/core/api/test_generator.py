"""Generators of references."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import shoal
from shoal.exceptions import SerializationError

NewStream = Callable[..., Any]


def test_iterates(new_stream: NewStream) -> None:
    generator = shoal.ObjectRefGenerator[int](new_stream(1, 2))
    assert iter(generator) is generator
    assert [shoal.get(ref) for ref in generator] == [1, 2]
    with pytest.raises(StopIteration):
        next(generator)


def test_knows_how_far_it_is(new_stream: NewStream) -> None:
    stream = new_stream(1, ended=False)
    generator = shoal.ObjectRefGenerator[int](stream)
    assert generator.next_ready()
    assert not generator.is_finished()
    next(generator)
    assert not generator.next_ready()
    stream.end()
    assert generator.next_ready()
    assert generator.is_finished()
    assert shoal.get(generator.completed()) is None


def test_iterates_in_an_event_loop(new_stream: NewStream) -> None:
    async def consume() -> list[int]:
        stream = new_stream(1, ended=False)
        loop = asyncio.get_running_loop()
        loop.call_soon(stream.add, 2)
        loop.call_soon(stream.end)
        return [shoal.get(ref) async for ref in shoal.ObjectRefGenerator[int](stream)]

    assert asyncio.run(consume()) == [1, 2]


def test_waiting_can_be_cancelled(new_stream: NewStream) -> None:
    async def cancel() -> None:
        stream = new_stream(ended=False)
        generator = shoal.ObjectRefGenerator[int](stream)
        waiting = asyncio.ensure_future(generator.__anext__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        stream.add(1)
        assert shoal.get(await generator.__anext__()) == 1

    asyncio.run(cancel())


@pytest.mark.parametrize("name", ["send", "throw", "close"])
def test_is_no_full_generator(new_stream: NewStream, name: str) -> None:
    generator = shoal.ObjectRefGenerator[int](new_stream())
    arguments = [] if name == "close" else [None]
    with pytest.raises(NotImplementedError):
        getattr(generator, name)(*arguments)
    with pytest.raises(NotImplementedError):
        asyncio.run(getattr(generator, f"a{name}")(*arguments))


def test_cannot_be_passed_on(new_stream: NewStream) -> None:
    with pytest.raises(SerializationError, match="references that it yields"):
        pickle.dumps(shoal.ObjectRefGenerator[int](new_stream()))


def test_lets_go_of_its_items(new_stream: NewStream) -> None:
    stream = new_stream(1)
    generator = shoal.ObjectRefGenerator[int](stream)
    del generator
    gc.collect()
    assert stream.closed


def test_dynamic_generators_are_values() -> None:
    dynamic = shoal.DynamicObjectRefGenerator([])
    assert len(dynamic) == 0
    assert list(pickle.loads(pickle.dumps(dynamic))) == []
