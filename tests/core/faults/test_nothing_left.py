"""Any one process is killed at any moment: nothing of the session is left on the machine, and nobody hangs.

Seeded; SHOAL_FAULT_SEED=n tries other moments.
"""

from __future__ import annotations

import gc
import os
import random
import select
import signal

import pytest

import shoal
from shoal import engines

SEED = int(os.environ.get("SHOAL_FAULT_SEED", "0"))

WORKLOAD = """
    @shoal.remote
    def square(x):
        return x * x

    @shoal.remote
    def large(n):
        return bytes(n)

    @shoal.remote
    def tree(n):
        return 1 if n == 0 else sum(shoal.get([tree.remote(n - 1), tree.remote(n - 1)]))

    @shoal.remote(max_restarts=-1, max_task_retries=-1)
    class Counter:
        def __init__(self):
            self.n = 0
        def add(self):
            self.n += 1
            return self.n

    @shoal.remote
    def starts_a_process():
        import subprocess
        subprocess.run(["sleep", "0.01"])

    begin()
    counter = Counter.remote()
    while True:
        refs = [square.remote(n) for n in range(20)] + [large.remote(200_000), starts_a_process.remote(), tree.remote(2)]
        calls = [counter.add.remote() for _ in range(5)]
        values = shoal.get(refs, timeout=20)
        assert values[:20] == [n * n for n in range(20)], values
        assert values[-1] == 4, values
        shoal.get(calls, timeout=20)
        print("round", flush=True)
"""


def _one_round(program, seed: int) -> str:
    """Kills one process of a session that works; returns its role."""
    chance = random.Random(seed)
    driver = program(WORKLOAD)
    session = driver.session()
    role = chance.choice(["driver", "daemon", "forks", "worker", "worker"])
    for _ in range(chance.randrange(3)):
        driver.until("round")
    # The moment within the work: not a wait for anything, so any length is right.
    select.select([], [], [], chance.random() * 0.05)
    session.pids()
    if role == "driver":
        driver.send(signal.SIGKILL)
        driver.end()
    else:
        victims = session.pids(role)
        if not victims:
            role += " (there was none)"
        else:
            session.pids()
            try:
                session.kill(chance.choice(victims))
            except ProcessLookupError:
                role += " (it had just ended)"
        if role.startswith("daemon"):
            assert driver.end() == 1, f"seed {seed}"
            assert "LocalDaemonDiedError" in driver.errors(), f"seed {seed}"
        else:
            # Death of a worker or of the fork server is the session's business, not the user's.
            driver.until("round")
            driver.until("round")
            session.pids()
            driver.send(signal.SIGTERM)
            driver.end()
    session.wait_until_gone(folder_may_stay=role.startswith("daemon"))
    driver.close()
    return role


@pytest.mark.no_session
@pytest.mark.timeout(180)
def test_one_process_is_killed(program) -> None:
    for seed in range(SEED, SEED + 12):
        _one_round(program, seed)
    _next_session_clears_up()


@pytest.mark.slow
@pytest.mark.no_session
@pytest.mark.timeout(1500)
def test_one_process_is_killed_a_hundred_times(program) -> None:
    for seed in range(SEED + 1000, SEED + 1100):
        _one_round(program, seed)
    _next_session_clears_up()


def _next_session_clears_up() -> None:
    """Folders of daemons that were killed go when the next session begins."""
    shoal.init(num_cpus=1, log_to_driver=False)
    root = os.path.dirname(engines.current().session.session_dir)
    from shoal._core.system.session_folder import is_alive

    own = os.path.basename(engines.current().session.session_dir)
    dead = [name for name in os.listdir(root) if name != own and not is_alive(os.path.join(root, name))]
    shoal.shutdown()
    assert not [name for name in dead if os.path.exists(os.path.join(root, name))]


@pytest.mark.no_session
def test_everything_is_killed_at_once(program) -> None:
    driver = program(WORKLOAD)
    session = driver.session()
    driver.until("round")
    for pid in [driver.pid, *session.pids()]:
        os.kill(pid, signal.SIGSTOP)
    for pid in [driver.pid, *session.pids()]:
        os.kill(pid, signal.SIGKILL)
    driver.end()
    session.wait_until_gone(folder_may_stay=True)
    shoal.init(num_cpus=1, log_to_driver=False)
    assert not os.path.exists(session.session_dir)


@pytest.mark.no_session
def test_sessions_one_after_the_other_leave_no_descriptors(open_descriptors) -> None:
    import threading

    def one_session():
        shoal.init(num_cpus=1, log_to_driver=False)

        @shoal.remote
        def large():
            return bytes(200_000)

        assert len(shoal.get(large.remote(), timeout=20)) == 200_000
        shoal.shutdown()
        gc.collect()

    one_session()
    before, threads = open_descriptors(), threading.active_count()
    for _ in range(3):
        one_session()
    assert open_descriptors() == before
    assert threading.active_count() == threads


def test_deaths_leave_no_descriptors(session, open_descriptors, eventually) -> None:
    """Neither in the driver nor in the daemon, nor any entry for what is gone."""

    @shoal.remote(max_retries=0)
    def die():
        os._exit(1)

    @shoal.remote
    class Mortal:
        def die(self):
            os._exit(1)

    def some_deaths():
        for _ in range(5):
            with pytest.raises(shoal.exceptions.WorkerCrashedError):
                shoal.get(die.remote(), timeout=20)
            with pytest.raises(shoal.exceptions.ActorDiedError):
                shoal.get(Mortal.remote().die.remote(), timeout=20)
        gc.collect()

    daemon = session.daemon()

    def of_daemon():
        return len(os.listdir(f"/proc/{daemon}/fd"))

    some_deaths()
    eventually(lambda: len(session.pids("worker")) <= 3, "spare workers have gone")
    ours, theirs = open_descriptors(), of_daemon()
    for _ in range(2):
        some_deaths()
    eventually(lambda: open_descriptors() <= ours + 2, f"descriptors of the driver: {ours} before")
    eventually(lambda: of_daemon() <= theirs + 8, f"descriptors of the daemon: {theirs} before")
