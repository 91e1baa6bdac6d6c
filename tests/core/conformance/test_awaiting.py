"""References in asyncio programs and with futures."""

from __future__ import annotations

import asyncio
import concurrent.futures

import pytest

import shoal


@pytest.fixture
def square():
    @shoal.remote
    def square(x):
        return x * x

    return square


@pytest.fixture
def fail():
    @shoal.remote
    def fail():
        raise ValueError("awaited")

    return fail


def test_await_in_the_driver(square) -> None:
    async def main():
        return await square.remote(3)

    assert asyncio.run(main()) == 9


@pytest.mark.short
def test_gather(square) -> None:
    async def main():
        return await asyncio.gather(*[square.remote(i) for i in range(10)])

    assert asyncio.run(main()) == [i * i for i in range(10)]


def test_awaited_error(fail) -> None:
    async def main():
        await fail.remote()

    with pytest.raises(ValueError, match="awaited"):
        asyncio.run(main())


def test_await_an_object_that_is_there() -> None:
    async def main():
        return await shoal.put(5)

    assert asyncio.run(main()) == 5


def test_await_the_same_reference_often(square) -> None:
    async def main():
        ref = square.remote(2)
        return [await ref, await ref]

    assert asyncio.run(main()) == [4, 4]


def test_asyncio_wait(gate, square) -> None:
    async def main():
        blocked = asyncio.ensure_future(gate.wait.remote().as_future())
        done, pending = await asyncio.wait([square.remote(2).as_future(), blocked], return_when=asyncio.FIRST_COMPLETED)
        assert [future.result() for future in done] == [4]
        gate.open.remote()
        return [await future for future in pending]

    assert asyncio.run(main()) == ["open"]


def test_asyncio_timeout(gate) -> None:
    async def main():
        ref = gate.wait.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ref.as_future(), 0.01)
        gate.open.remote()
        return await ref

    assert asyncio.run(main()) == "open"


@pytest.mark.filterwarnings("ignore:shoal.get blocks the event loop")
def test_blocking_get_inside_a_loop(square) -> None:
    async def main():
        first = square.remote(2).as_future()
        second = shoal.get(square.remote(3))
        return await first, second

    assert asyncio.run(main()) == (4, 9)


def test_future(square, fail) -> None:
    future = square.remote(4).future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=60) == 16
    with pytest.raises(ValueError, match="awaited"):
        fail.remote().future().result(timeout=60)


def test_futures_as_completed(square) -> None:
    futures = [square.remote(i).future() for i in range(5)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, timeout=60)) == [0, 1, 4, 9, 16]


def test_future_of_a_put_object() -> None:
    assert shoal.put("here").future().result(timeout=60) == "here"


def test_await_in_a_task(square) -> None:
    @shoal.remote
    def task():
        async def main():
            return await square.remote(5)

        return asyncio.run(main())

    assert shoal.get(task.remote()) == 25
