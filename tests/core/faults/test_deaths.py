"""A task's or an actor's process dies: the error says how, of what, and whose; retries and restarts are as Ray has them."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time

import pytest

import shoal
from shoal.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    OutOfMemoryError,
    TaskError,
    WorkerCrashedError,
)


@pytest.fixture
def die():
    """A task that dies as it is told, after a word on standard error."""

    @shoal.remote(max_retries=0)
    def die(how):
        import ctypes
        import os
        import signal
        import sys

        print(f"about to die by {how}", file=sys.stderr, flush=True)
        if how == "segfault":
            ctypes.string_at(0)
        elif how == "_exit":
            os._exit(3)
        elif how == "sys.exit":
            sys.exit(4)
        elif how == "sys.exit text":
            sys.exit("no more")
        else:
            os.kill(os.getpid(), getattr(signal, how))
            signal.pause()

    return die


@pytest.fixture
def mortal():
    """An actor that dies as it is told, and counts its calls."""

    @shoal.remote
    class Mortal:
        def __init__(self):
            self.calls = 0

        def count(self):
            self.calls += 1
            return self.calls

        def die(self, number=signal.SIGKILL):
            import os

            os.kill(os.getpid(), number)
            signal.pause()

        def exit(self, code):
            import os
            import sys

            print("leaving now", file=sys.stderr, flush=True)
            os._exit(code)

        def die_at_first(self, path):
            import os

            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return "survived"
            return os.kill(os.getpid(), signal.SIGKILL)

        def pid(self):
            import os

            return os.getpid()

    return Mortal


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGABRT"])
def test_signal_is_named(die, name) -> None:
    with pytest.raises(WorkerCrashedError) as caught:
        shoal.get(die.remote(name), timeout=20)
    death = caught.value.death
    assert death.signal == name
    assert death.exit_code is None
    assert not death.oom
    assert death.peak_memory > 1 << 20
    assert f"about to die by {name}" in death.stderr_tail
    text = str(caught.value)
    assert "die" in text
    assert f"signal {name}" in text
    assert f"about to die by {name}" in text


def test_segmentation_fault(die) -> None:
    with pytest.raises(WorkerCrashedError) as caught:
        shoal.get(die.remote("segfault"), timeout=20)
    assert caught.value.death.signal == "SIGSEGV"
    assert "crash in native code" in str(caught.value)


@pytest.mark.parametrize(("how", "code"), [("_exit", 3), ("sys.exit", 4), ("sys.exit text", 1)])
def test_exit_code_is_named(die, how, code) -> None:
    with pytest.raises(WorkerCrashedError) as caught:
        shoal.get(die.remote(how), timeout=20)
    death = caught.value.death
    assert death.exit_code == code
    assert death.signal == ""
    assert any(f"about to die by {how}" in line for line in death.stderr_tail)
    assert "die" in str(caught.value)


def test_error_names_task_and_attempt() -> None:
    @shoal.remote(max_retries=2, name="fragile one")
    def fragile():
        os._exit(7)

    with pytest.raises(WorkerCrashedError, match="fragile one") as caught:
        shoal.get(fragile.remote(), timeout=20)
    assert "attempt 3" in str(caught.value)
    assert caught.value.death.exit_code == 7


def test_retry_after_death(tmp_path) -> None:
    @shoal.remote(max_retries=1)
    def second_time_lucky(path):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "survived"
        return os.kill(os.getpid(), signal.SIGKILL)

    assert shoal.get(second_time_lucky.remote(str(tmp_path / "dead")), timeout=20) == "survived"


def test_retries_are_counted_exactly(tmp_path) -> None:
    @shoal.remote(max_retries=2)
    def always(path):
        with open(path, "a") as file:
            file.write("x")
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        shoal.get(always.remote(str(tmp_path / "attempts")), timeout=20)
    assert (tmp_path / "attempts").read_text() == "xxx"


def test_neighbours_in_the_queue_survive(tmp_path) -> None:
    """Tasks that waited behind the one that crashed are not blamed, and run once."""

    @shoal.remote(max_retries=0)
    def work(n, path):
        if n == 5:
            os._exit(9)
        with open(os.path.join(path, str(n)), "a") as file:
            file.write("x")
        return n

    refs = [work.remote(n, str(tmp_path)) for n in range(30)]
    survivors, codes = [], []
    for ref in refs:
        try:
            survivors.append(shoal.get(ref, timeout=20))
        except WorkerCrashedError as error:
            codes.append(error.death.exit_code)
    assert codes == [9]
    assert survivors == [n for n in range(30) if n != 5]
    assert {(tmp_path / str(n)).read_text() for n in survivors} == {"x"}


def test_module_that_the_worker_lacks(tmp_path, monkeypatch) -> None:
    (tmp_path / "only_the_driver_has_it.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # after the session began: its workers do not look there
    module = importlib.import_module("only_the_driver_has_it")
    try:
        with pytest.raises(ModuleNotFoundError, match="only_the_driver_has_it"):
            shoal.get(shoal.remote(module.answer).remote(), timeout=20)
    finally:
        del sys.modules[module.__name__]


def test_deep_recursion_is_an_error() -> None:
    @shoal.remote
    def down(n):
        return 1 + down_plain(n)

    def down_plain(n):
        return 1 + down_plain(n + 1)

    with pytest.raises(RecursionError):
        shoal.get(down.remote(0), timeout=20)


def test_stack_overflow_is_a_crash() -> None:
    @shoal.remote(max_retries=0)
    def overflow():
        import sys

        sys.setrecursionlimit(10**9)
        eval("(" * 50 + "1" + ")" * 50)

        class Deep:
            def __getattr__(self, name):
                return getattr(self, name + "x")

        return Deep().a

    with pytest.raises((WorkerCrashedError, OutOfMemoryError)) as caught:
        shoal.get(overflow.options(memory=2 << 30).remote(), timeout=40)
    assert caught.value.death.signal == "SIGSEGV" or caught.value.death.oom


def test_result_that_cannot_be_pickled() -> None:
    @shoal.remote
    def lock():
        import threading

        return {"inner": [threading.Lock()]}

    with pytest.raises(TypeError, match="lock"):
        shoal.get(lock.remote(), timeout=20)


def test_error_that_cannot_be_pickled() -> None:
    @shoal.remote
    def fail():
        import threading

        class OddError(Exception):
            def __init__(self):
                super().__init__("odd")
                self.lock = threading.Lock()

        raise OddError

    with pytest.raises(TaskError, match="odd"):
        shoal.get(fail.remote(), timeout=20)


def test_error_that_cannot_be_unpickled() -> None:
    @shoal.remote
    def fail():
        class TwoArguments(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} and {two}")

        raise TwoArguments(1, 2)

    with pytest.raises(TaskError, match="1 and 2"):
        shoal.get(fail.remote(), timeout=20)


@pytest.mark.session(_system_config={"memory_monitor_refresh_ms": 20, "memory_usage_threshold": 0.0})
def test_the_largest_worker_is_ended_when_the_machine_runs_out_of_memory() -> None:
    @shoal.remote(max_retries=0)
    def eat(size):
        kept = b"x" * size
        time.sleep(600)
        return kept

    with pytest.raises(OutOfMemoryError) as caught:
        shoal.get(eat.remote(100 << 20), timeout=20)
    text = str(caught.value)
    assert "of the machine's" in text
    assert "SHOAL_memory_usage_threshold" in text
    assert "eat" in text


@pytest.mark.no_session
@pytest.mark.parametrize(("name", "value"), [("memory_monitor_refresh_ms", "often"), ("memory_usage_threshold", "1.5")])
def test_settings_of_the_memory_monitor_that_cannot_be(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SHOAL_{name}", value)
    with pytest.raises(ValueError, match=name):
        shoal.init(num_cpus=1)


def test_memory_over_the_limit() -> None:
    @shoal.remote(max_retries=0, memory=150 << 20)
    def eat():
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 20)))

    with pytest.raises(OutOfMemoryError) as caught:
        shoal.get(eat.remote(), timeout=30)
    assert caught.value.death.oom == "limit"
    assert "150 MiB" in str(caught.value)
    assert "eat" in str(caught.value)


# --- actors ------------------------------------------------------------------------------------------------------------------


def test_actor_death_is_explained(mortal) -> None:
    actor = mortal.remote()
    with pytest.raises(ActorDiedError) as caught:
        shoal.get(actor.exit.remote(5), timeout=20)
    assert caught.value.death.exit_code == 5
    assert "leaving now" in str(caught.value)
    assert "Mortal" in str(caught.value)
    with pytest.raises(ActorDiedError) as later:
        shoal.get(actor.count.remote(), timeout=20)
    assert later.value.death.exit_code == 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_actor_killed_by_signal(mortal, number) -> None:
    actor = mortal.remote()
    with pytest.raises(ActorDiedError) as caught:
        shoal.get(actor.die.remote(number), timeout=20)
    assert caught.value.death.signal == number.name


def test_restarted_actor_has_forgotten(mortal) -> None:
    actor = mortal.options(max_restarts=1).remote()
    assert shoal.get([actor.count.remote(), actor.count.remote()], timeout=20) == [1, 2]
    with pytest.raises(ActorUnavailableError):
        shoal.get(actor.die.remote(), timeout=20)
    assert shoal.get(actor.count.options(max_task_retries=3).remote(), timeout=20) == 1
    with pytest.raises(ActorDiedError):
        shoal.get(actor.die.remote(), timeout=20)
    with pytest.raises(ActorDiedError):
        shoal.get(actor.count.remote(), timeout=20)


def test_actor_call_is_retried(mortal, tmp_path) -> None:
    actor = mortal.options(max_restarts=2, max_task_retries=2).remote()
    assert shoal.get(actor.die_at_first.remote(str(tmp_path / "dead")), timeout=20) == "survived"


def test_actor_call_is_not_retried_by_default(mortal, tmp_path) -> None:
    actor = mortal.options(max_restarts=2).remote()
    with pytest.raises(ActorUnavailableError):
        shoal.get(actor.die_at_first.remote(str(tmp_path / "dead")), timeout=20)


def test_restarts_without_limit(mortal) -> None:
    actor = mortal.options(max_restarts=-1, max_task_retries=-1).remote()
    pids = {shoal.get(actor.pid.remote(), timeout=20)}
    for _ in range(4):
        os.kill(shoal.get(actor.pid.remote(), timeout=20), signal.SIGKILL)
        pids.add(shoal.get(actor.pid.remote(), timeout=20))
    assert len(pids) >= 4


def test_actor_over_its_memory() -> None:
    @shoal.remote(memory=150 << 20)
    class Eater:
        def eat(self):
            kept = []
            while True:
                kept.append(bytearray(os.urandom(1 << 20)))

    with pytest.raises(ActorDiedError) as caught:
        shoal.get(Eater.remote().eat.remote(), timeout=30)
    assert caught.value.death.oom == "limit"


# --- who is not to blame -----------------------------------------------------------------------------------------------------


def test_tasks_that_never_began_lose_no_attempt(session) -> None:
    """Idle workers die, and the next tasks are sent to them before anybody has noticed."""

    @shoal.remote(max_retries=0)
    def same(x):
        return x

    for n in range(5):
        assert shoal.get([same.remote(n) for _ in range(4)], timeout=20) == [n] * 4
        for pid in session.pids("worker"):
            session.kill(pid)
        assert shoal.get([same.remote(n) for _ in range(2)], timeout=20) == [n] * 2


def test_short_tasks_that_share_a_worker_with_a_crash(tmp_path) -> None:
    """Many are sent at once to the same worker; only the one that crashed fails, and none runs twice to its end."""

    @shoal.remote(max_retries=0)
    def work(n, path):
        if n == 150:
            os._exit(9)
        if n >= 0:
            os.close(os.open(f"{path}/{n}", os.O_CREAT | os.O_EXCL))
        return n

    shoal.get([work.remote(-1, "") for _ in range(500)], timeout=20)
    refs = [work.remote(n, str(tmp_path)) for n in range(300)]
    failed = []
    for n, ref in enumerate(refs):
        try:
            assert shoal.get(ref, timeout=20) == n
        except WorkerCrashedError as error:
            failed.append((n, error.death.exit_code))
    assert failed == [(150, 9)]


# --- streams -----------------------------------------------------------------------------------------------------------------


def test_stream_whose_task_dies() -> None:
    @shoal.remote(max_retries=0)
    def produce():
        for n in range(5):
            if n == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            yield n

    stream = produce.remote()
    got: list[object] = []
    for ref in stream:
        try:
            got.append(shoal.get(ref, timeout=20))
        except WorkerCrashedError as error:
            got.append(error.death.signal)
    assert got == [0, 1, 2, "SIGKILL"]


def test_stream_is_produced_again(tmp_path) -> None:
    @shoal.remote(max_retries=1)
    def produce(path):
        for n in range(6):
            if n == 3:
                try:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    path = ""
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            yield n

    assert [shoal.get(ref, timeout=20) for ref in produce.remote(str(tmp_path / "dead"))] == list(range(6))


def test_stream_of_an_actor_that_dies() -> None:
    @shoal.remote
    class Producer:
        def produce(self):
            yield 0
            os.kill(os.getpid(), signal.SIGKILL)
            yield 1

    got: list[object] = []
    for ref in Producer.remote().produce.options(num_returns="streaming").remote():
        try:
            got.append(shoal.get(ref, timeout=20))
        except ActorDiedError as error:
            got.append(error.death.signal)
    assert got == [0, "SIGKILL"]
