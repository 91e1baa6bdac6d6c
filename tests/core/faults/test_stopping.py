"""Stop means stop: cancel, Ctrl-C and SIGTERM, whatever the user's code does, with all that it has started."""

from __future__ import annotations

import asyncio
import signal

import pytest

import shoal
from shoal.exceptions import TaskCancelledError, TaskForceCancelledError, WorkerCrashedError


def test_cancel_ends_a_sleep(meeting, arrive) -> None:
    @shoal.remote
    def sleep(name):
        import time

        arrive(name, stay=False)
        time.sleep(1000)

    ref = sleep.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError, match="sleep"):
        shoal.get(ref, timeout=10)


def test_cancel_ends_busy_python(meeting, arrive) -> None:
    @shoal.remote
    def spin(name):
        arrive(name, stay=False)
        while True:
            pass

    ref = spin.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)


def test_worker_is_used_again_after_a_cancel(meeting, arrive) -> None:
    @shoal.remote(num_cpus=2)
    def wait(name):
        arrive(name)

    @shoal.remote(num_cpus=2)
    def pid():
        import os

        return os.getpid()

    ref = wait.remote(meeting.name)
    worker = meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    assert shoal.get(pid.remote(), timeout=10) == worker


def test_cancel_ends_a_call_of_an_async_actor(meeting, arrive) -> None:
    @shoal.remote
    class Sleeper:
        async def sleep(self, name):
            arrive(name, stay=False)
            await asyncio.sleep(1000)

        async def ping(self):
            return "pong"

    actor = Sleeper.remote()
    ref = actor.sleep.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    assert shoal.get(actor.ping.remote(), timeout=10) == "pong"


def test_cancel_reaches_a_threaded_actor(meeting, arrive) -> None:
    @shoal.remote(max_concurrency=2)
    class Poll:
        def until_canceled(self, name):
            import time

            arrive(name, stay=False)
            while not shoal.get_runtime_context().is_canceled():
                time.sleep(0.001)

    actor = Poll.remote()
    ref = actor.until_canceled.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)


@pytest.mark.parametrize("how", ["c_code", "deaf", "threads", "blocked_signals"])
def test_force_ends_what_does_not_listen(meeting, arrive, session, ends, how) -> None:
    @shoal.remote(max_retries=5)
    def obstinate(name, how):
        import ctypes
        import os
        import signal
        import threading
        import time

        arrive(name, stay=False)
        if how == "c_code":
            ctypes.PyDLL(None).sleep(1000)  # holds the interpreter's lock
        elif how == "deaf":
            while True:
                try:
                    while True:
                        time.sleep(1000)
                except BaseException:
                    os.getpid()
        elif how == "threads":
            other = threading.Thread(target=threading.Event().wait)
            other.start()
            other.join()
        else:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            threading.Event().wait()

    ref = obstinate.remote(meeting.name, how)
    worker = meeting.arrival()
    shoal.cancel(ref, force=True)
    with pytest.raises(TaskForceCancelledError) as caught:
        shoal.get(ref, timeout=10)
    assert isinstance(caught.value, WorkerCrashedError)
    assert "obstinate" in str(caught.value)
    assert ends(worker)


def test_force_takes_the_processes_that_the_task_started(meeting, arrive, ends) -> None:
    @shoal.remote
    def starts_others(name):
        import os
        import subprocess

        quiet = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            arrive(name)
            os._exit(0)
        arrive(f"{name}", stay=False)
        quiet.wait()

    ref = starts_others.remote(meeting.name)
    pids = [meeting.arrival(), meeting.arrival()]
    shoal.cancel(ref, force=True)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    assert all(ends(pid) for pid in pids)


def test_children_are_cancelled(meeting, arrive) -> None:
    """The cancelled parent's children, and theirs, end; others are left alone."""

    @shoal.remote(num_cpus=0)
    def leaf(name):
        try:
            arrive(name)
        except KeyboardInterrupt:
            arrive(f"{name}-cancelled", stay=False)
            raise

    @shoal.remote(num_cpus=0)
    def branch(name):
        return shoal.get([leaf.remote(name) for _ in range(2)])

    @shoal.remote(num_cpus=0)
    def root(name):
        return shoal.get([branch.remote(name) for _ in range(2)])

    stranger = leaf.remote(meeting.name)
    meeting.arrival()
    second = type(meeting)(f"{meeting.name}-cancelled")
    ref = root.remote(meeting.name)
    for _ in range(4):
        meeting.arrival()
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    for _ in range(4):
        second.arrival()
    assert shoal.wait([stranger], timeout=0) == ([], [stranger])
    meeting.let_go()
    shoal.get(stranger, timeout=10)
    second.close()


def test_not_recursive(meeting, arrive) -> None:
    @shoal.remote(num_cpus=0)
    def leaf(name):
        arrive(name)
        arrive(name, stay=False)

    @shoal.remote(num_cpus=0)
    def root(name):
        return shoal.get(leaf.remote(name))

    ref = root.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(ref, recursive=False)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    meeting.let_go()
    meeting.arrival()


def test_cancel_of_a_waiting_task(meeting, arrive) -> None:
    @shoal.remote(num_cpus=2)
    def wait(name):
        arrive(name)

    running, waiting = wait.remote(meeting.name), wait.remote(meeting.name)
    meeting.arrival()
    shoal.cancel(waiting)
    with pytest.raises(TaskCancelledError):
        shoal.get(waiting, timeout=10)
    meeting.let_go()
    shoal.get(running, timeout=10)


WORK = """
    @shoal.remote
    def task():
        import subprocess
        subprocess.run(["sleep", "1000"])

    @shoal.remote(num_cpus=0)
    class Actor:
        def spin(self):
            while True:
                pass

    begin()
    refs = [task.remote(), task.remote(), Actor.remote().spin.remote()]
    shoal.wait(refs, timeout=0.2)
"""


STAY = """
    print("ready", flush=True)
    shoal.get(refs)
"""


def test_ctrl_c_while_it_waits(program) -> None:
    driver = program(WORK + STAY)
    session = driver.session()
    driver.until("ready")
    session.pids()
    driver.send(signal.SIGINT)
    assert driver.end(10) in (1, 130, -signal.SIGINT)
    session.wait_until_gone()
    assert "KeyboardInterrupt" in driver.errors()


def test_ctrl_c_that_the_program_handles(program) -> None:
    """An interrupted get leaves a session that works."""
    driver = program(
        WORK
        + """
    try:
        print("ready", flush=True)
        shoal.get(refs)
    except KeyboardInterrupt:
        print("interrupted", flush=True)

    @shoal.remote(num_cpus=0)
    def one():
        return 1

    print("sum", sum(shoal.get([one.remote() for _ in range(10)])), flush=True)
    """
    )
    session = driver.session()
    driver.until("ready")
    driver.send(signal.SIGINT)
    driver.until("interrupted")
    assert driver.until("sum") == "sum 10"
    assert driver.end(10) == 0
    session.wait_until_gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_driver_ended_by_signal(program, number) -> None:
    # Whoever runs the tests may have them ignore it (nohup), and their children with them.
    usual = f"""
    import signal
    signal.signal({int(number)}, signal.SIG_DFL)
"""
    driver = program(usual + WORK + STAY)
    session = driver.session()
    driver.until("ready")
    session.pids()
    driver.send(number)
    assert driver.end(10) in (-number, 128 + number)
    session.wait_until_gone()


def test_ctrl_c_in_the_terminal_reaches_only_the_driver(program) -> None:
    """The terminal signals the whole process group: daemon and workers are not in it."""
    import os

    driver = program(
        """
        begin()

        @shoal.remote
        def one():
            return 1

        shoal.get(one.remote())
        try:
            print("ready", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print("still", shoal.get(one.remote()), flush=True)
        """
    )
    session = driver.session()
    driver.until("ready")
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.until("still") == "still 1"
    assert driver.end(10) == 0
    session.wait_until_gone()


def test_shutdown_while_tasks_run(session, meeting, arrive, ends) -> None:
    @shoal.remote
    def wait(name):
        arrive(name)

    ref = wait.remote(meeting.name)
    worker = meeting.arrival()
    shoal.shutdown()
    assert ends(worker)
    session.wait_until_gone()
    del ref
