"""`shoal.util.ActorPool`: results given up, pools without actors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal.exceptions import InvalidOptionError
from shoal.util import ActorPool


@shoal.remote(num_cpus=0)
class Worker:
    def double(self, value: int) -> int:
        return 2 * value


@shoal.remote(num_cpus=0)
class Gate:
    """Its `wait` ends when somebody has called `open`."""

    def __init__(self) -> None:
        import asyncio

        self._opened = asyncio.Event()

    async def open(self) -> None:
        self._opened.set()

    async def wait(self) -> str:
        await self._opened.wait()
        return "open"


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    shoal.init(num_cpus=1)
    yield
    shoal.shutdown()


def double(actor: Any, value: int) -> Any:
    return actor.double.remote(value)


def test_a_result_that_is_given_up_makes_its_actor_idle() -> None:
    gate = Gate.remote()
    pool = ActorPool([Worker.remote()])
    pool.submit(lambda _, value: gate.wait.remote(), 0)
    pool.submit(double, 4)
    with pytest.raises(TimeoutError, match="given up"):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    assert pool.get_next() == 8
    assert not pool.has_next()
    assert pool.has_free()


def test_map_waits_for_earlier_submissions_and_drops_their_results() -> None:
    pool = ActorPool([Worker.remote()])
    pool.submit(double, 100)
    pool.submit(double, 200)
    assert list(pool.map(double, [1, 2])) == [2, 4]


def test_in_order_after_out_of_order_is_refused_until_all_is_taken() -> None:
    gate = Gate.remote()
    pool = ActorPool([Worker.remote(), Worker.remote()])
    pool.submit(lambda _, value: gate.wait.remote(), 0)
    pool.submit(double, 1)
    assert pool.get_next_unordered() == 2
    with pytest.raises(InvalidOptionError, match="get_next_unordered"):
        pool.get_next()
    gate.open.remote()
    assert pool.get_next_unordered() == "open"
    pool.submit(double, 3)
    assert pool.get_next() == 6


def test_a_pool_without_actors_says_so() -> None:
    pool: ActorPool[int, int] = ActorPool([])
    with pytest.raises(ValueError, match=r"push\(actor\)"):
        pool.map(double, [1])
    worker = Worker.remote()
    pool.push(worker)
    assert list(pool.map(double, [1])) == [2]
