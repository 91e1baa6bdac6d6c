"""Threads, forks, calls after the end, arguments that cannot travel: an answer, and an intact session."""

from __future__ import annotations

import os
import threading

import pytest

import shoal
from shoal import engines
from shoal.exceptions import (
    DefinitionTooLargeError,
    ForkedProcessError,
    SerializationError,
    SessionEndedError,
)


@pytest.fixture
def double():
    @shoal.remote
    def double(x):
        return 2 * x

    return double


@pytest.fixture
def adder():
    @shoal.remote(num_cpus=0)
    class Adder:
        def __init__(self):
            self.sum = 0

        def add(self, n):
            self.sum += n
            return self.sum

    return Adder


def test_many_threads(double, adder) -> None:
    actor = adder.remote()
    failures: list[BaseException] = []

    def work(seed):
        try:
            for n in range(20):
                x = 1000 * seed + n
                refs = [double.remote(x + k) for k in range(5)]
                large = shoal.put(bytes([seed]) * 200_000)
                calls = [actor.add.remote(1) for _ in range(3)]
                assert shoal.get(refs) == [2 * (x + k) for k in range(5)]
                assert shoal.get(double.remote(refs[0])) == 4 * x
                assert shoal.get(large)[-1] == seed
                done, rest = shoal.wait(calls, num_returns=3, timeout=20)
                assert not rest
                first, second, third = shoal.get(done)
                assert first < second < third
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert not failures
    assert shoal.get(actor.add.remote(0), timeout=20) == 6 * 20 * 3


def test_several_threads_wait_for_the_same(double, meeting, arrive) -> None:
    @shoal.remote
    def wait(name):
        arrive(name)
        return "done"

    ref = wait.remote(meeting.name)
    meeting.arrival()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(shoal.get(ref, timeout=20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    meeting.let_go()
    for thread in threads:
        thread.join(20)
    assert got == ["done"] * 8


def test_forked_child_may_not_use_the_session(double, adder) -> None:
    actor = adder.remote()
    ref = double.remote(4)
    assert shoal.get([ref, actor.add.remote(1)], timeout=20) == [8, 1]
    attempts = {
        "task": lambda: double.remote(1),
        "get": lambda: shoal.get(ref),
        "put": lambda: shoal.put(1),
        "wait": lambda: shoal.wait([ref]),
        "call": lambda: actor.add.remote(1),
        "kill": lambda: shoal.kill(actor),
        "resources": lambda: shoal.available_resources(),
    }
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        told = []
        for name, attempt in attempts.items():
            try:
                attempt()
            except ForkedProcessError:
                told.append(f"{name} refused")
            except BaseException as error:
                told.append(f"{name} {error!r}")
            else:
                told.append(f"{name} worked")
        os.write(writing, "\n".join(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read().splitlines()
    os.waitpid(pid, 0)
    assert told == [f"{name} refused" for name in attempts]
    assert shoal.get([double.remote(5), actor.add.remote(1), ref], timeout=20) == [10, 2, 8]


def test_forked_child_drops_its_copies_in_silence(double) -> None:
    """References, values and handles that a forked child lets go of are not the parent's."""
    ref = shoal.put(bytes(1 << 20))
    value = shoal.get(ref)
    pid = os.fork()
    if pid == 0:
        del ref, value
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    del value
    assert len(shoal.get(double.remote(ref), timeout=20)) == 2 << 20


def test_shutdown_while_a_forked_child_lives(session) -> None:
    """The child's copies of the descriptors do not keep the session alive."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    daemon = session.daemon()
    try:
        shoal.shutdown()
        assert daemon not in session.pids()
        assert not os.path.exists(session.session_dir)  # it was not killed for want of an end
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def test_forked_child_that_exits_as_python_does(program) -> None:
    """Its exit handlers do not end the parent's session."""
    driver = program(
        """
        begin()

        @shoal.remote
        def one():
            return 1

        ref = one.remote()
        shoal.get(ref)
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        os.waitpid(pid, 0)
        print("sum", shoal.get(one.remote()) + shoal.get(ref), flush=True)
        """
    )
    session = driver.session()
    assert driver.until("sum") == "sum 2"
    assert driver.end() == 0
    session.wait_until_gone()


def test_multiprocessing_pool_beside_a_session(program) -> None:
    driver = program(
        """
        import multiprocessing

        def square(x):
            return x * x

        begin()

        @shoal.remote
        def one():
            return 1

        shoal.get(one.remote())
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print("sum", sum(pool.map(square, range(4))) + shoal.get(one.remote()), flush=True)
        """
    )
    session = driver.session()
    assert driver.until("sum") == "sum 15"
    assert driver.end() == 0
    session.wait_until_gone()


def test_after_shutdown(double, adder) -> None:
    actor = adder.remote()
    ref, stored = double.remote(1), shoal.put(bytes(1 << 20))
    value = shoal.get(stored)
    shoal.get([ref, actor.add.remote(1)], timeout=20)
    shoal.shutdown()
    for attempt in (
        lambda: shoal.get(ref),
        lambda: shoal.get(stored),
        lambda: shoal.wait([ref]),
        lambda: actor.add.remote(1),
        lambda: shoal.cancel(ref),
        lambda: shoal.kill(actor),
    ):
        with pytest.raises(SessionEndedError):
            attempt()
    assert value == bytes(1 << 20)  # views stay readable
    shoal.shutdown()  # is no error


def test_old_references_in_a_new_session(double, adder) -> None:
    actor, ref = adder.remote(), double.remote(1)
    shoal.get([ref, actor.add.remote(1)], timeout=20)
    shoal.shutdown()
    shoal.init(num_cpus=1, log_to_driver=False)
    for attempt in (
        lambda: shoal.get(ref),
        lambda: double.remote(ref),
        lambda: double.remote([ref]),
        lambda: actor.add.remote(1),
    ):
        with pytest.raises(SessionEndedError):
            attempt()
    assert shoal.get(double.remote(3), timeout=20) == 6


def test_threads_that_wait_at_shutdown(meeting, arrive) -> None:
    @shoal.remote
    def wait(name):
        arrive(name)

    ref = wait.remote(meeting.name)
    meeting.arrival()
    caught: list[BaseException] = []
    waiting = threading.Event()

    def get():
        waiting.set()
        try:
            shoal.get(ref)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    waiting.wait()
    shoal.shutdown()
    thread.join(20)
    assert [type(error) for error in caught] == [SessionEndedError]


def test_double_init(double) -> None:
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        shoal.init(num_cpus=1)
    shoal.init(num_cpus=1, ignore_reinit_error=True)
    assert shoal.get(double.remote(1), timeout=20) == 2


def test_argument_that_cannot_be_pickled(double, adder) -> None:
    culprit = {"model": [1, {"lock": threading.Lock()}]}
    for attempt in (
        lambda: double.remote(culprit),
        lambda: adder.remote().add.remote(culprit),
        lambda: shoal.put(culprit),
    ):
        with pytest.raises(SerializationError, match="lock") as caught:
            attempt()
        assert isinstance(caught.value, TypeError)
        assert "model" in str(caught.value)
    assert shoal.get(double.remote(3), timeout=20) == 6


def test_captured_variable_that_cannot_be_pickled() -> None:
    guard = threading.Lock()

    @shoal.remote
    def guarded():
        return guard.locked()

    with pytest.raises(TypeError, match="guard"):
        guarded.remote()


def test_closure_over_too_much() -> None:
    ballast = bytes(101 << 20)

    @shoal.remote
    def heavy():
        return len(ballast)

    with pytest.raises(DefinitionTooLargeError, match="ballast") as caught:
        heavy.remote()
    assert dict(caught.value.captures)["ballast"] >= 101 << 20


def test_refused_arguments_leave_nothing_behind(double) -> None:
    kept = shoal.put(bytes(200_000))
    references = engines.current().references
    before = len(references.table.entries)
    for _ in range(20):
        with pytest.raises(TypeError):
            double.remote([kept, bytes(200_000), threading.Lock()])
    shoal.get(double.remote(1), timeout=20)
    references.table.check()
    assert len(references.table.entries) <= before + 1
