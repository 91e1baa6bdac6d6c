"""Threads: of tasks, of the user, and that all of them end."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import shoal


def test_one_task_runs_at_a_time(session) -> None:
    running = []
    most = []

    def enter():
        running.append(1)
        most.append(len(running))
        sum(range(20_000))
        running.pop()

    share(enter)

    @shoal.remote
    def task():
        import sys

        function = sys.modules[module].shared_function
        for _ in range(3):
            function()
            shoal.get(shoal.put(1))

    module = __name__
    shoal.get([task.remote() for _ in range(8)])
    assert set(most) == {1}


def share(function) -> None:
    globals()["shared_function"] = function


def test_task_threads_are_named_after_their_tasks(session) -> None:
    @shoal.remote
    def look():
        return threading.current_thread().name

    assert shoal.get(look.remote()).endswith("look")
    assert shoal.get(look.options(name="special").remote()) == "special"


def test_sequential_actor_stays_on_its_thread(session) -> None:
    @shoal.remote
    class Actor:
        def __init__(self):
            self.thread = threading.get_ident()

        def same(self):
            return threading.get_ident() == self.thread

    actor = Actor.remote()
    assert all(shoal.get([actor.same.remote() for _ in range(3)]))


def test_blocked_threads_end_with_the_session(start) -> None:
    start()

    @shoal.remote
    class Gate:
        async def wait(self):
            await asyncio.Event().wait()

    @shoal.remote
    class Waiting:
        def wait(self, gate):
            shoal.get(gate.wait.remote())

    @shoal.remote
    def wait(gate):
        shoal.get(gate.wait.remote())

    gate = Gate.remote()
    keep = [
        wait.remote(gate),
        Waiting.remote().wait.remote(gate),
        Waiting.options(max_concurrency=2).remote().wait.remote(gate),
    ]
    deadline = time.monotonic() + 30
    while not {"Gate", "Waiting"} <= {thread.name.rpartition(".")[2] for thread in threading.enumerate()}:
        assert time.monotonic() < deadline, threading.enumerate()
        shoal.wait(keep, timeout=0.05)
    shoal.shutdown()


def test_pool_in_the_driver(session) -> None:
    @shoal.remote
    def square(x):
        return x * x

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda x: shoal.get(square.remote(x)), range(6))) == [0, 1, 4, 9, 16, 25]


def test_pool_in_a_task(session) -> None:
    @shoal.remote
    def square(x):
        return x * x

    @shoal.remote
    def squares(n):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda x: shoal.get(square.remote(x)), range(n)))

    assert shoal.get(squares.remote(4)) == [0, 1, 4, 9]


def test_threads_of_an_async_actor(session) -> None:
    @shoal.remote
    def one():
        return 1

    @shoal.remote
    class Actor:
        async def work(self):
            return await asyncio.to_thread(lambda: shoal.get(one.remote()))

    assert shoal.get(Actor.remote().work.remote()) == 1


def test_session_begun_in_another_thread() -> None:
    results = []

    def program() -> None:
        shoal.init(local_mode=True, num_cpus=1)
        results.append(shoal.get(shoal.remote(lambda: 5).remote()))
        shoal.shutdown()

    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    assert results == [5]


def test_waiting_thread_of_the_user_is_told_of_the_end(start) -> None:
    start()

    @shoal.remote
    class Gate:
        async def wait(self):
            await asyncio.Event().wait()

    ref = Gate.remote().wait.remote()
    began = threading.Event()
    errors = []

    def wait() -> None:
        began.set()
        try:
            shoal.get(ref, timeout=30)
        except shoal.exceptions.SessionEndedError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    began.wait()
    shoal.wait([ref], timeout=0.05)
    shoal.shutdown()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize("kind", ["get", "remote", "put"])
def test_use_after_the_end(start, kind) -> None:
    start()
    ref = shoal.put(1)
    engine = shoal.engines.current()
    shoal.shutdown()
    with pytest.raises(shoal.exceptions.SessionEndedError):
        if kind == "get":
            shoal.get(ref)
        else:
            engine.put(2)
