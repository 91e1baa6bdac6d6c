"""The fork server, the daemon or the driver dies."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

import shoal
from shoal.exceptions import ActorDiedError, LocalDaemonDiedError, SessionEndedError, WorkerCrashedError


@pytest.fixture
def visit(arrive):
    @shoal.remote
    def visit(name, stay=True):
        arrive(name, stay)
        return "done"

    return visit


# --- the fork server ---------------------------------------------------------------------------------------------------------


def test_tasks_survive_the_fork_server(visit, meeting, session) -> None:
    refs = [visit.remote(meeting.name) for _ in range(2)]
    first = {meeting.arrival(), meeting.arrival()}
    session.kill(session.fork_server())
    meeting.let_go()
    second = {meeting.arrival(), meeting.arrival()}
    meeting.let_go()
    assert shoal.get(refs, timeout=20) == ["done", "done"]
    assert not first & second


def test_fork_server_death_is_named(visit, meeting, session) -> None:
    ref = visit.options(max_retries=0).remote(meeting.name)
    meeting.arrival()
    session.kill(session.fork_server())
    with pytest.raises(WorkerCrashedError, match="fork server"):
        shoal.get(ref, timeout=20)


def test_actors_die_with_the_fork_server_and_restart(session) -> None:
    @shoal.remote
    class Counter:
        def __init__(self):
            self.n = 0

        def add(self):
            self.n += 1
            return self.n

    mortal, again = Counter.remote(), Counter.options(max_restarts=1, max_task_retries=-1).remote()
    assert shoal.get([mortal.add.remote(), again.add.remote()], timeout=20) == [1, 1]
    session.kill(session.fork_server())
    assert shoal.get(again.add.remote(), timeout=20) == 1
    with pytest.raises(ActorDiedError, match="fork server"):
        shoal.get(mortal.add.remote(), timeout=20)


def test_fork_server_dies_again_and_again(visit, meeting, session) -> None:
    for _ in range(3):
        ref = visit.remote(meeting.name)
        meeting.arrival()
        session.kill(session.fork_server())
        meeting.arrival()
        meeting.let_go()
        assert shoal.get(ref, timeout=20) == "done"


def test_stored_objects_outlive_the_fork_server(session) -> None:
    @shoal.remote
    def large():
        return bytes(1 << 20)

    ref = large.remote()
    shoal.wait([ref], timeout=20)
    session.kill(session.fork_server())
    assert len(shoal.get(ref, timeout=20)) == 1 << 20


def test_fork_server_dies_while_workers_start(session) -> None:
    """Starts that fail with it are no fault of theirs: they are made again by the next one."""

    @shoal.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    class Quick:
        def ping(self):
            return "pong"

    for _ in range(4):
        actors = [Quick.remote() for _ in range(6)]
        refs = [actor.ping.remote() for actor in actors]
        session.kill(session.fork_server())
        assert shoal.get(refs, timeout=20) == ["pong"] * 6


# --- the daemon --------------------------------------------------------------------------------------------------------------


def test_pending_gets_end_when_the_daemon_dies(visit, meeting, session) -> None:
    refs = [visit.remote(meeting.name) for _ in range(2)]
    stuck = visit.remote(meeting.name)

    @shoal.remote(num_cpus=0)
    def items(name):
        yield 1
        shoal.get(visit.options(num_cpus=0).remote(name))

    stream = items.remote(meeting.name)
    assert shoal.get(next(stream), timeout=20) == 1
    meeting.arrival()
    caught: list[BaseException] = []

    def get(ref):
        try:
            shoal.get(ref)
        except BaseException as error:
            caught.append(error)

    def get_next():
        get(next(stream))

    threads = [threading.Thread(target=get, args=(ref,)) for ref in [*refs, stuck]]
    threads.append(threading.Thread(target=get_next))
    for thread in threads:
        thread.start()
    session.pids()
    session.kill(session.daemon())
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert [type(error) for error in caught] == [LocalDaemonDiedError] * 4
    assert "daemon" in str(caught[0])
    session.wait_until_gone(folder_may_stay=True)
    _new_session_works()


def test_calls_after_the_daemons_death(visit, session) -> None:
    @shoal.remote
    class Actor:
        def ping(self):
            return "pong"

    actor = Actor.remote()
    stored = shoal.put(bytes(1 << 20))
    assert shoal.get(actor.ping.remote(), timeout=20) == "pong"
    session.pids()
    session.kill(session.daemon())
    gone = (LocalDaemonDiedError, SessionEndedError)
    with pytest.raises(gone):
        shoal.get(visit.remote("nobody", False), timeout=20)
    with pytest.raises(gone):
        visit.remote("nobody", False).future().result(20)
    with pytest.raises(gone):
        shoal.get(visit.options(num_returns="streaming").remote("nobody", False).__next__(), timeout=20)
    late = [visit.remote("nobody", False), actor.ping.remote()]
    assert shoal.wait(late, num_returns=2, timeout=20)[0] == late
    with pytest.raises((*gone, ActorDiedError)):
        actor.ping.remote().future().result(20)
    with pytest.raises((*gone, ActorDiedError)):
        shoal.get(actor.ping.remote(), timeout=20)
    with pytest.raises((*gone, ActorDiedError)):
        shoal.get(Actor.remote().ping.remote(), timeout=20)
    with pytest.raises(gone):
        shoal.put(bytes(1 << 20))
    with pytest.raises(gone):
        shoal.get(stored, timeout=20)
    with pytest.raises(gone):
        shoal.available_resources()
    session.wait_until_gone(folder_may_stay=True)
    _new_session_works()


def test_await_ends_when_the_daemon_dies(visit, meeting, session) -> None:
    async def wait() -> None:
        async def one():
            return await visit.remote(meeting.name)

        task = asyncio.create_task(one())
        await asyncio.to_thread(meeting.arrival)
        session.pids()
        session.kill(session.daemon())
        with pytest.raises(LocalDaemonDiedError):
            await asyncio.wait_for(task, 20)

    asyncio.run(wait())
    session.wait_until_gone(folder_may_stay=True)
    _new_session_works()


def _new_session_works() -> None:
    shoal.shutdown()
    shoal.init(num_cpus=1, log_to_driver=False)

    @shoal.remote
    def one():
        return 1

    assert shoal.get(one.remote(), timeout=20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_daemon_ends_cleanly_on_a_signal(session, number, ends) -> None:
    daemon = session.daemon()
    session.pids()
    session.kill(daemon, number)
    assert ends(daemon)
    session.wait_until_gone()


# --- the driver --------------------------------------------------------------------------------------------------------------


DRIVER = """
    begin()

    @shoal.remote
    def child():
        import subprocess
        print("never shown")
        subprocess.run(["sleep", "1000"])

    @shoal.remote
    class Holder:
        def stay(self):
            threading.Event().wait()

    refs = [child.remote(), child.remote()]
    holder = Holder.remote()
    large = shoal.put(bytes(1 << 20))
    print("ready", flush=True)
    shoal.get([*refs, holder.stay.remote()])
"""


def test_all_ends_with_a_killed_driver(program) -> None:
    driver = program(DRIVER)
    session = driver.session()
    driver.until("ready")
    session.pids()
    driver.send(signal.SIGKILL)
    driver.end()
    session.wait_until_gone()


def test_actors_that_may_be_made_again_are_not_when_all_ends(program, ends) -> None:
    """The daemon ends by itself, and in no time: nobody waits for workers that nobody starts."""
    driver = program(
        """
        begin()

        @shoal.remote(max_restarts=-1, num_cpus=0)
        class Keeper:
            def pid(self):
                return os.getpid()

        keepers = [Keeper.options(lifetime="detached", name=f"keeper{n}").remote() for n in range(6)]
        shoal.get([keeper.pid.remote() for keeper in keepers])
        print("ready", flush=True)
        threading.Event().wait()
        """
    )
    session = driver.session()
    driver.until("ready")
    daemon = session.daemon()
    driver.send(signal.SIGKILL)
    driver.end()
    assert ends(daemon)
    session.wait_until_gone()


def test_all_ends_when_the_driver_is_killed_at_start(program) -> None:
    """No moment is too early: the daemon may not have seen its driver yet."""
    driver = program("begin()\nthreading.Event().wait()")
    session = driver.session()
    driver.send(signal.SIGKILL)
    driver.end()
    session.wait_until_gone()


def test_driver_that_raises(program) -> None:
    driver = program(
        """
        begin()
        @shoal.remote
        def stay():
            threading.Event().wait()
        ref = stay.remote()
        raise RuntimeError("the user's own")
        """
    )
    session = driver.session()
    assert driver.end() == 1
    session.wait_until_gone()
    assert "the user's own" in driver.errors()


def test_driver_that_calls_os_exit(program) -> None:
    driver = program("begin()\nos._exit(0)")
    session = driver.session()
    assert driver.end() == 0
    session.wait_until_gone()


def test_daemon_watches_the_process_not_the_thread(program) -> None:
    """The thread that called init ends; the session goes on."""
    driver = program(
        """
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()

        @shoal.remote
        def one():
            return 1

        print("sum", sum(shoal.get([one.remote() for _ in range(20)])), flush=True)
        """
    )
    session = driver.session()
    assert driver.until("sum") == "sum 20"
    assert driver.end() == 0
    session.wait_until_gone()
