"""ActorPool, Queue, as_completed, map_unordered: programs made of the parts above."""

from __future__ import annotations

import asyncio

import pytest

import shoal

actor_pool = pytest.importorskip("shoal.util.actor_pool")
queues = pytest.importorskip("shoal.util.queue")


@pytest.fixture
def worker_class():
    @shoal.remote(num_cpus=0)
    class Worker:
        def double(self, x):
            return 2 * x

        def fail(self, x):
            raise ValueError(f"item {x}")

    return Worker


@pytest.fixture
def pool(worker_class):
    return actor_pool.ActorPool([worker_class.remote() for _ in range(2)])


def test_pool_maps_in_order(pool) -> None:
    assert list(pool.map(lambda actor, x: actor.double.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]


def test_pool_maps_unordered(pool) -> None:
    results = pool.map_unordered(lambda actor, x: actor.double.remote(x), range(6))
    assert sorted(results) == [0, 2, 4, 6, 8, 10]


def test_pool_submit_and_get(pool) -> None:
    assert not pool.has_next()
    for x in range(4):
        pool.submit(lambda actor, x: actor.double.remote(x), x)
    assert pool.has_next()
    assert [pool.get_next() for _ in range(4)] == [0, 2, 4, 6]
    with pytest.raises(StopIteration):
        pool.get_next()


def test_pool_get_next_unordered(pool) -> None:
    for x in range(3):
        pool.submit(lambda actor, x: actor.double.remote(x), x)
    assert sorted(pool.get_next_unordered() for _ in range(3)) == [0, 2, 4]


def test_pool_timeout(pool, gate) -> None:
    pool.submit(lambda actor, gate: gate.wait.remote(), gate)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01)
    gate.open.remote()
    assert pool.get_next() == "open"


def test_pool_push_and_pop(pool, worker_class) -> None:
    first = pool.pop_idle()
    assert first is not None
    assert pool.has_free()
    second = pool.pop_idle()
    assert pool.pop_idle() is None
    pool.push(second)
    with pytest.raises(ValueError):
        pool.push(second)


def test_pool_error(pool) -> None:
    pool.submit(lambda actor, x: actor.fail.remote(x), 5)
    with pytest.raises(ValueError, match="item 5"):
        pool.get_next()


def test_queue_keeps_order() -> None:
    queue = queues.Queue()
    for i in range(3):
        queue.put(i)
    assert queue.size() == queue.qsize() == len(queue) == 3
    assert [queue.get() for _ in range(3)] == [0, 1, 2]
    assert queue.empty()


def test_queue_limits() -> None:
    queue = queues.Queue(maxsize=1)
    queue.put("first")
    assert queue.full()
    with pytest.raises(queues.Full):
        queue.put_nowait("second")
    with pytest.raises(queues.Full):
        queue.put("second", timeout=0.01)
    assert queue.get() == "first"
    with pytest.raises(queues.Empty):
        queue.get_nowait()
    with pytest.raises(queues.Empty):
        queue.get(timeout=0.01)


def test_queue_batches() -> None:
    queue = queues.Queue(maxsize=3)
    queue.put_nowait_batch([1, 2, 3])
    with pytest.raises(queues.Full):
        queue.put_nowait_batch([4])
    assert queue.get_nowait_batch(2) == [1, 2]
    with pytest.raises(queues.Empty):
        queue.get_nowait_batch(2)


def test_queue_between_tasks() -> None:
    queue = queues.Queue(maxsize=2)

    @shoal.remote
    def produce(queue):
        for i in range(6):
            queue.put(i)

    @shoal.remote
    def consume(queue):
        return [queue.get() for _ in range(6)]

    consumed = consume.remote(queue)
    produced = produce.remote(queue)
    assert shoal.get([consumed, produced]) == [[0, 1, 2, 3, 4, 5], None]


def test_queue_in_asyncio() -> None:
    queue = queues.Queue(maxsize=1)

    async def main():
        await queue.put_async(1)
        with pytest.raises(queues.Full):
            await queue.put_async(2, block=False)
        return await queue.get_async()

    assert asyncio.run(main()) == 1


def test_queue_shutdown() -> None:
    queue = queues.Queue()
    queue.put(1)
    queue.shutdown()
    with pytest.raises((shoal.exceptions.RayError, AttributeError)):
        queue.put(2)


def test_as_completed() -> None:
    @shoal.remote
    def square(x):
        return x * x

    assert sorted(shoal.util.as_completed([square.remote(i) for i in range(5)])) == [0, 1, 4, 9, 16]
    refs = [square.remote(i) for i in range(5)]
    assert set(shoal.util.as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_map_unordered() -> None:
    @shoal.remote
    def square(x):
        return x * x

    assert sorted(shoal.util.map_unordered(square, range(5), backpressure_size=2)) == [0, 1, 4, 9, 16]
