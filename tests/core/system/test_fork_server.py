"""Forked and fresh workers as real processes: how they are born, how they end, and what is left when one of the processes dies."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal._core.system.fork_messages import Exited, ForkFailed, Preloaded, ServerDied
from shoal._core.system.fork_server import ForkServer
from shoal.exceptions import InvalidOptionError, ShoalSystemError

HERE = Path(__file__).parent


def test_a_worker_runs_the_entry_with_its_config(nursery: Any) -> None:
    exited, stdout, stderr = nursery.run("say", "good morning")
    assert (exited.status, stdout, stderr) == (0, "good morning\n", "")
    assert exited.peak_memory > 1 << 20
    assert exited.user_time >= 0 and exited.system_time >= 0


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (("exit_at_once", 3), 3),
        (("leave", 4), 4),
        (("leave", 256 + 7), 7),
        (("leave", None), 0),
        (("leave", "no more"), 1),
        (("fail",), 1),
        (("kill_itself", signal.SIGKILL), -signal.SIGKILL),
        (("kill_itself", signal.SIGTERM), -signal.SIGTERM),
        (("crash",), -signal.SIGSEGV),
    ],
    ids=str,
)
def test_how_it_ended_is_reported(nursery: Any, program: tuple[Any, ...], code: int) -> None:
    exited, _, _ = nursery.run(*(int(part) if isinstance(part, signal.Signals) else part for part in program))
    assert os.waitstatus_to_exitcode(exited.status) == code


def test_peak_memory_is_reported(nursery: Any) -> None:
    assert nursery.run("use_memory", 64 << 20)[0].peak_memory > 64 << 20


def test_many_workers_are_told_apart(nursery: Any) -> None:
    workers = [nursery.ask("leave", number) for number in range(100)]
    assert [os.waitstatus_to_exitcode(nursery.exit_of(worker).status) for worker in workers] == list(range(100))


def test_a_large_config_arrives(nursery: Any) -> None:
    text = "x" * 3_000_000
    worker = nursery.start("say", text)
    assert worker.output() == text + "\n"


def test_signals_and_kills_reach_only_what_runs(nursery: Any) -> None:
    worker = nursery.start("sleep")
    worker.first_line()
    assert nursery.server.signal(worker.pid, signal.SIGTERM, group=True)
    assert os.waitstatus_to_exitcode(nursery.exit_of(worker).status) == -signal.SIGTERM
    assert not nursery.server.signal(worker.pid, signal.SIGTERM)
    assert not nursery.server.kill(worker.pid)

    other = nursery.start("sleep")
    assert nursery.server.kill(other.pid)
    assert os.waitstatus_to_exitcode(nursery.exit_of(other).status) == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["kill", "exit"])
def test_what_a_worker_started_ends_with_it(nursery: Any, ending: str, wait_gone: Any) -> None:
    worker = nursery.start("start_strays", 3)
    strays = [int(pid) for pid in worker.first_line().split()]
    assert len(strays) == 5
    if ending == "kill":
        nursery.server.kill(worker.pid)
    else:
        nursery.server.signal(worker.pid, signal.SIGTERM)
    nursery.exit_of(worker)
    wait_gone(*strays)


def test_a_program_in_a_session_of_its_own_ends_with_its_worker(nursery: Any, wait_gone: Any) -> None:
    worker = nursery.start("start_program")
    pid = int(worker.first_line())
    assert os.getsid(pid) == pid
    nursery.server.signal(worker.pid, signal.SIGKILL)
    wait_gone(worker.pid, pid)


def test_other_workers_and_their_children_live_on(nursery: Any) -> None:
    survivor = nursery.start("start_program")
    child = int(survivor.first_line())
    for _ in range(3):
        nursery.run("fail")
    assert nursery.server.signal(survivor.pid, 0)
    os.kill(child, 0)


# --- preloading ----------------------------------------------------------------------------------------------------------------


def test_preloaded_modules_are_there_in_later_forks(nursery: Any) -> None:
    assert nursery.wait_for(Preloaded) == Preloaded("worker_programs", True, "")
    nursery.server.preload(["json", "decimal"])
    assert [nursery.wait_for(Preloaded) for _ in range(2)] == [
        Preloaded("json", True, ""),
        Preloaded("decimal", True, ""),
    ]
    assert ast.literal_eval(nursery.run("describe")[1])["modules"] == ["decimal", "json"]


def test_an_unsafe_module_is_refused_and_forks_go_on(nursery: Any, tmp_path: Path) -> None:
    starts_thread = (
        "import threading\nthreading.Thread(target=threading.Event().wait, name='reader', daemon=True).start()\n"
    )
    modules = {
        "starts_thread": starts_thread,
        "raises": "raise OSError('no licence')",
        "exits": "raise SystemExit(2)",
        "leaves": "import os\nif os.fork() == 0:\n    import signal\n    signal.pause()\nos._exit(0)",
        "crashes": "import os\nos.abort()",
        "well_behaved": "",
    }
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    nursery.server.preload([*modules, "missing"])
    verdicts = {}
    while len(verdicts) < 8:
        verdict = nursery.wait_for(Preloaded)
        verdicts[verdict.module] = (verdict.ok, verdict.reason)
    assert verdicts == {
        "worker_programs": (True, ""),
        "starts_thread": (False, "the process has 2 threads (reader), and a fork has only one"),
        "raises": (False, "importing it raised OSError: no licence"),
        "exits": (False, "importing it raised SystemExit: 2"),
        "leaves": (False, "importing it ended the process (exit code 0)"),
        "crashes": (False, "importing it ended the process (exit code -6)"),
        "well_behaved": (True, ""),
        "missing": (False, "importing it raised ModuleNotFoundError: No module named 'missing'"),
    }
    assert nursery.run("say", "still here")[1] == "still here\n"


# --- environments --------------------------------------------------------------------------------------------------------------


def test_a_fresh_interpreter_has_its_own_environment(nursery: Any, tmp_path: Path) -> None:
    nursery.server.preload(["json"])
    nursery.wait_for(Preloaded), nursery.wait_for(Preloaded)
    environ = {**os.environ, "FLAVOUR": "vanilla"}
    _, stdout, stderr = nursery.run(
        "describe", fresh=True, environ=environ, cwd=str(tmp_path), sys_path=[str(tmp_path), str(HERE)]
    )
    assert stderr == ""
    seen = ast.literal_eval(stdout)
    assert (seen["flavour"], seen["cwd"], seen["path"][:2]) == ("vanilla", str(tmp_path), [str(tmp_path), str(HERE)])
    assert "json" not in seen["modules"]
    assert (seen["name"], seen["is_group_leader"]) == ("shoal:worker", True)
    assert seen["fds"] == {0: "/dev/null", 1: "pipe", 2: "pipe"}


def test_a_fresh_worker_ends_as_a_forked_one_does(nursery: Any) -> None:
    exited, _, stderr = nursery.run("crash", fresh=True, sys_path=[str(HERE)])
    assert os.waitstatus_to_exitcode(exited.status) == -signal.SIGSEGV
    assert "in crash" in stderr


def test_an_interpreter_that_is_not_there(nursery: Any) -> None:
    worker = nursery.ask("say", "never", fresh=True, python_executable="/nowhere/python")
    assert "'/nowhere/python' cannot be started" in nursery.wait_for(ForkFailed, worker.token).error
    with pytest.raises(InvalidOptionError, match="/nowhere/python"):
        ForkServer.launch("worker_programs:run", python_executable="/nowhere/python")


def test_workers_of_a_launched_server_have_its_environment(tmp_path: Path, nursery: Any) -> None:
    environ = {**os.environ, "FLAVOUR": "mint"}
    first = nursery.server
    nursery.server = ForkServer.launch("worker_programs:run", environ=environ, cwd=str(tmp_path), sys_path=[str(HERE)])
    seen = ast.literal_eval(nursery.run("describe")[1])
    assert (seen["flavour"], seen["cwd"], seen["path"][0]) == ("mint", str(tmp_path), str(HERE))
    nursery.server.stop()
    nursery.wait_for(ServerDied)
    nursery.server.close()
    nursery.server = first
    assert nursery.run("say", "the other one serves on")[1] == "the other one serves on\n"


# --- deaths of the others --------------------------------------------------------------------------------------------------------


def test_stop_ends_everything_and_reports_it(nursery: Any, wait_gone: Any) -> None:
    workers = [nursery.start("start_strays", 2) for _ in range(3)]
    strays = [int(pid) for worker in workers for pid in worker.first_line().split()]
    nursery.server.stop()
    died = nursery.wait_for(ServerDied)
    assert (died.status, died.requested) == (0, True)
    exits = {event.token: event for event in nursery.events if isinstance(event, Exited)}
    assert {os.waitstatus_to_exitcode(exits[worker.token].status) for worker in workers} == {-signal.SIGKILL}
    wait_gone(*strays)
    assert nursery.server.finished
    with pytest.raises(ShoalSystemError, match="dead"):
        nursery.server.spawn(77, b"", 1, 2)


def test_a_new_server_survives_the_burial_of_the_old_one(nursery: Any) -> None:
    workers = [nursery.start("start_strays", 2) for _ in range(3)]
    old = nursery.server
    os.kill(old.pid, signal.SIGKILL)
    nursery.wait_for(ServerDied)
    new = ForkServer.launch("worker_programs:run", sys_path=[str(HERE)])
    for worker in workers:
        nursery.exit_of(worker)
    while not old.finished:
        old.read_events()
    old.close()
    nursery.server = new
    assert nursery.run("say", "hello")[1] == "hello\n"


def test_a_killed_fork_server_takes_its_workers_along(nursery: Any, wait_gone: Any) -> None:
    workers = [nursery.start("start_strays", 2) for _ in range(3)]
    strays = [int(pid) for worker in workers for pid in worker.first_line().split()]
    os.kill(nursery.server.pid, signal.SIGKILL)
    late = nursery.ask("say", "too late")
    died = nursery.wait_for(ServerDied)
    assert (os.waitstatus_to_exitcode(died.status), died.requested) == (-signal.SIGKILL, False)
    for worker in workers:
        exited = nursery.exit_of(worker)
        assert (exited.pid, os.waitstatus_to_exitcode(exited.status)) == (worker.pid, -signal.SIGKILL)
        assert exited.peak_memory > 0
    assert f"fork server {nursery.server.pid} ended" in nursery.wait_for(ForkFailed, late.token).error
    wait_gone(*strays)
    while not nursery.server.finished:
        nursery.server.read_events()


@pytest.fixture
def small_daemon() -> Iterator[Any]:
    daemons = []

    def start(programs: list[tuple[Any, ...]]) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "small_daemon.py"), repr(programs)]
        daemons.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()
        daemon.communicate()


def test_a_killed_daemon_takes_everything_along(small_daemon: Any, wait_gone: Any) -> None:
    daemon = small_daemon([("start_strays", 2), ("start_program",), ("start_strays", 3)])
    pids = [int(pid) for _ in range(4) for pid in daemon.stdout.readline().split()]
    assert len(pids) == 1 + 4 + 1 + 5
    daemon.kill()
    wait_gone(*pids)


def test_a_forked_server_serves_its_daemon(small_daemon: Any) -> None:
    daemon = small_daemon([("say", "hello"), ("sleep",)])
    lines = daemon.communicate(input="")[0].splitlines()
    assert lines[1:3] == ["hello", "sleeping"]
    events = "\n".join(lines[3:])
    assert "Preloaded(module='worker_programs', ok=True, reason='')" in events
    assert "Exited(token=0" in events and "status=0" in events
    assert "Exited(token=1" in events and "status=9" in events
    assert lines[-1] == "ServerDied(status=0, requested=True)"


def test_a_process_with_threads_cannot_fork_a_server() -> None:
    program = (
        "import threading\n"
        "from shoal._core.system.fork_server import ForkServer\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "try: ForkServer.start('worker_programs:run')\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "it has 2" in done.stdout


def test_threads_of_libraries_that_came_with_the_interpreter_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import numpy")
    program = (
        "import os, shoal\n"
        "print(len(os.listdir('/proc/self/task')))\n"
        "call = shoal.remote(abs)\n"
        "print(shoal.get(call.remote(-3)))\n"
        "print(shoal.get(call.options(runtime_env={'env_vars': {'A': '1'}}).remote(-4)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "3", "4"]


def test_an_entry_that_cannot_be_imported(nursery: Any) -> None:
    first = nursery.server
    nursery.server = ForkServer.launch("not_there:run")
    assert not nursery.wait_for(Preloaded).ok
    exited, _, stderr = nursery.run("say", "never")
    assert os.waitstatus_to_exitcode(exited.status) == 1
    assert "ModuleNotFoundError: No module named 'not_there'" in stderr
    nursery.server.stop()
    nursery.wait_for(ServerDied)
    nursery.server.close()
    nursery.server = first
