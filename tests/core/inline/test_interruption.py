"""Ctrl-C, time-outs and cancellation while a task computes."""

from __future__ import annotations

import random
import signal
import threading

import pytest

import shoal
from shoal.exceptions import GetTimeoutError, TaskCancelledError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("session")

LONG = 30.0


class Shared:
    """What tasks and test share, for once: tasks find it by name in this module."""

    began = threading.Event()
    may_end = threading.Event()
    ended: list[str] = []  # noqa: RUF012


@pytest.fixture(autouse=True)
def shared():
    Shared.began, Shared.may_end, Shared.ended = threading.Event(), threading.Event(), []
    yield Shared
    Shared.may_end.set()


def compute():
    """Uses its turn without ever waiting for another task."""
    Shared.began.set()
    while not Shared.may_end.wait(0.001):
        pass
    Shared.ended.append("computed")
    return "computed"


def press_ctrl_c():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def interrupt_then_compute():
    press_ctrl_c()
    return compute()


def test_ctrl_c_ends_the_wait_of_the_driver(shared) -> None:
    ref = shoal.remote(interrupt_then_compute).remote()
    with pytest.raises(KeyboardInterrupt):
        shoal.get(ref)
    shared.may_end.set()
    assert shoal.get(ref) == "computed"


def test_ctrl_c_while_nothing_can_run() -> None:
    @shoal.remote
    class Gate:
        async def wait(self):
            import asyncio

            asyncio.get_running_loop().call_later(0.01, press_ctrl_c)
            await asyncio.sleep(LONG)

    ref = Gate.remote().wait.remote()
    with pytest.raises(KeyboardInterrupt):
        shoal.get(ref)


def test_time_limit_holds_while_a_task_computes(shared) -> None:
    ref = shoal.remote(compute).remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(ref, timeout=0.05)
    assert shared.began.is_set()
    assert shoal.wait([ref], timeout=0.01)[0] == []
    shared.may_end.set()
    assert shoal.get(ref) == "computed"


def test_computing_task_is_cancelled_after_a_time_limit(shared) -> None:
    ref = shoal.remote(compute).remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(ref, timeout=0.05)
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert shared.ended == []


def test_forced_cancellation_does_not_wait_for_the_code(shared) -> None:
    ref = shoal.remote(compute).remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(ref, timeout=0.05)
    shoal.cancel(ref, force=True)
    with pytest.raises(WorkerCrashedError):
        shoal.get(ref)


def test_others_run_after_the_computing_task_was_passed_over(shared) -> None:
    @shoal.remote
    def one():
        return 1

    slow = shoal.remote(compute).remote()
    with pytest.raises(GetTimeoutError):
        shoal.get(slow, timeout=0.05)
    assert shoal.get(one.remote()) == 1
    shared.may_end.set()
    assert shoal.get(slow) == "computed"


def test_killed_actor_cannot_go_on() -> None:
    @shoal.remote
    class Suicidal:
        def die(self):
            shoal.kill(shoal.get_runtime_context().current_actor)
            Shared.ended.append("survived")

    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(Suicidal.remote().die.remote())
    assert Shared.ended == []


def test_task_may_clean_up_when_cancelled() -> None:
    @shoal.remote
    class Gate:
        async def wait(self):
            import asyncio

            await asyncio.Event().wait()

    def patient(gate):
        Shared.began.set()
        try:
            shoal.get(gate.wait.remote())
        finally:
            Shared.ended.append("cleaned up")

    gate = Gate.remote()
    patient.__module__, patient.__qualname__ = __name__, "patient"
    globals()["patient"] = patient
    ref = shoal.remote(patient).remote(gate)
    while not Shared.began.is_set():
        shoal.wait([ref], timeout=0)
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert Shared.ended == ["cleaned up"]


def test_task_that_cancels_itself(shared) -> None:
    @shoal.remote(num_cpus=0)
    class Mailbox:
        def __init__(self):
            self.ref = []

        def write(self, ref):
            self.ref = ref

        def read(self):
            return self.ref

    @shoal.remote
    def suicidal(mailbox):
        [own] = shoal.get(mailbox.read.remote())
        shoal.cancel(own)
        shoal.get(mailbox.read.remote())
        return "survived"

    mailbox = Mailbox.remote()
    ref = suicidal.remote(mailbox)
    mailbox.write.remote([ref])
    with pytest.raises((TaskCancelledError, ValueError)):
        shoal.get(ref)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_ctrl_c_at_any_moment_leaves_the_session_usable(seed) -> None:
    @shoal.remote
    def work(i):
        return i

    @shoal.remote
    def outer(i):
        return shoal.get(work.remote(i))

    chance = random.Random(seed)
    is_over = threading.Event()

    def press_often() -> None:
        while not is_over.wait(chance.random() * 0.01):
            press_ctrl_c()

    interrupted = 0
    presser = threading.Thread(target=press_often)
    try:
        presser.start()
        while interrupted < 200:
            try:
                shoal.get([outer.remote(i) for i in range(5)])
            except KeyboardInterrupt:
                interrupted += 1
    except KeyboardInterrupt:
        pass
    finally:
        is_over.set()
    while presser.is_alive():
        try:
            presser.join()
        except KeyboardInterrupt:
            continue
    assert shoal.get([outer.remote(i) for i in range(5)]) == list(range(5))
