"""Streaming results of actors, and streams consumed in actors, tasks and asyncio."""

from __future__ import annotations

import asyncio

import pytest

import shoal

pytestmark = pytest.mark.needs("streaming")


@pytest.fixture
def count_to():
    @shoal.remote
    def count_to(n):
        for i in range(n):  # noqa: UP028 - Ray sends into generators, which a range does not understand
            yield i

    return count_to


def test_method_as_generator(count_to) -> None:
    @shoal.remote
    class Counter:
        def __init__(self, start):
            self.at = start

        def some(self, n):
            for _ in range(n):
                self.at += 1
                yield self.at

        @shoal.method(num_returns="streaming")
        def declared(self):
            yield "a"
            yield "b"

        def fail(self):
            yield 1
            raise ValueError("in the method")

    actor = Counter.remote(10)
    assert [shoal.get(ref) for ref in actor.some.remote(2)] == [11, 12]
    assert [shoal.get(ref) for ref in actor.some.remote(2)] == [13, 14]
    assert [shoal.get(ref) for ref in actor.declared.remote()] == ["a", "b"]
    first, second = actor.fail.remote()
    assert shoal.get(first) == 1
    with pytest.raises(ValueError, match="in the method"):
        shoal.get(second)


@pytest.mark.needs("async_actors")
def test_async_generator_methods(gate) -> None:
    @shoal.remote
    class Streamer:
        async def some(self, gate):
            yield 1
            yield await gate.wait.remote()

        async def fail(self):
            yield 1
            raise ValueError("in the async method")

        async def other(self):
            return "other"

    actor = Streamer.remote()
    generator = actor.some.remote(gate)
    assert shoal.get(next(generator)) == 1
    assert shoal.get(actor.other.remote()) == "other"
    gate.open.remote()
    assert shoal.get(next(generator)) == "open"
    with pytest.raises(StopIteration):
        next(generator)
    _, failed = actor.fail.remote()
    with pytest.raises(ValueError, match="in the async method"):
        shoal.get(failed)


@pytest.mark.short
def test_async_iteration_in_the_driver(count_to) -> None:
    async def collect():
        return [await ref async for ref in count_to.remote(4)]

    assert asyncio.run(collect()) == [0, 1, 2, 3]


def test_async_iteration_in_an_actor(count_to) -> None:
    @shoal.remote
    class Collector:
        async def collect(self):
            return [await ref async for ref in count_to.remote(3)]

    assert shoal.get(Collector.remote().collect.remote()) == [0, 1, 2]


def test_iteration_in_a_task(count_to) -> None:
    @shoal.remote
    def total(n):
        return sum(shoal.get(ref) for ref in count_to.remote(n))

    assert shoal.get(total.remote(4)) == 6
