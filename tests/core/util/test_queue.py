"""`shoal.util.queue.Queue`: what may be asked of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal.exceptions import ActorDiedError
from shoal.util.queue import Queue, QueueShutDownError


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    shoal.init(num_cpus=1)
    yield
    shoal.shutdown()


def test_more_consumers_wait_than_an_async_actor_serves_by_default() -> None:
    queue = Queue()
    waiting = [queue.actor.get.remote(None) for _ in range(1100)]
    for number in range(1100):
        queue.actor.put.remote(number, None)
    assert sorted(item for _, item in shoal.get(waiting, timeout=30)) == list(range(1100))


def test_a_queue_that_was_shut_down_says_so() -> None:
    queue = Queue()
    waiting = queue.actor.get.remote(None)
    queue.shutdown(grace_period_s=1)
    with pytest.raises(ActorDiedError):
        shoal.get(waiting, timeout=10)
    queue.shutdown()
    for use in (queue.size, queue.get, lambda: queue.put(1), lambda: queue.get_nowait_batch(1)):
        with pytest.raises(QueueShutDownError):
            use()
    assert issubclass(QueueShutDownError, AttributeError)


def test_wrong_use_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="maxsize="):
        Queue(maxsize="3")  # type: ignore[arg-type]
    queue = Queue()
    with pytest.raises(ValueError, match="timeout=-1"):
        queue.get(timeout=-1)
    with pytest.raises(ValueError, match="timeout=-1"):
        queue.put(1, timeout=-1)
    with pytest.raises(ValueError, match="num_items=-1"):
        queue.get_nowait_batch(-1)
    with pytest.raises(TypeError, match="num_items="):
        queue.get_nowait_batch("3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="items="):
        queue.put_nowait_batch(3)  # type: ignore[arg-type]
