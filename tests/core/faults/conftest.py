"""Fault tests: real processes, really killed, and what the user is told about it.

Each test has a native session of its own (`shoal.init(num_cpus=2)`, or the arguments of `@pytest.mark.session(...)`; none with
`@pytest.mark.no_session`) and ends with a look for what the session has left behind. Tests wait for events (a pidfd, a line of
output, an object), each with a generous deadline that only a hang can reach.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shoal
from shoal import engines

LIMIT = 20.0
"""Seconds after which something is taken to hang."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "no_session: the test starts its own sessions")
    config.addinivalue_line("markers", "session(**arguments): what the test's session is started with")


@pytest.fixture(autouse=True)
def session(request: pytest.FixtureRequest) -> Iterator[SessionProcesses | None]:
    """A session of the test's own; nothing of it may be left afterwards."""
    if request.node.get_closest_marker("no_session"):
        yield None
        shoal.shutdown()
        return
    mark = request.node.get_closest_marker("session")
    shoal.init(**({"num_cpus": 2, "log_to_driver": False} | (mark.kwargs if mark else {})))
    processes = SessionProcesses(engines.current().session.session_dir)
    try:
        yield processes
        processes.assert_no_internal_error()
    finally:
        shoal.shutdown()
    processes.wait_until_gone()


class SessionProcesses:
    """All that a session is on this machine, found by its name: processes, sockets, its folder.

    The daemon's command line holds the session's name, and all its forks inherit it. A fork server that replaced a dead one, and
    fresh interpreters, are found as descendants.
    """

    def __init__(self, session_dir: str) -> None:
        self.session_dir = session_dir
        self.name = os.path.basename(session_dir)
        self.seen: dict[int, float] = {}
        """pid -> start time, of every process that was ever found."""

    def pids(self, role: str = "") -> list[int]:
        """Returns the session's processes; `role`: 'daemon', 'forks' or 'worker'."""
        table = _process_table()
        found = {pid for pid, row in table.items() if self.name in row.command_line and row.role}
        while True:
            more = {pid for pid, row in table.items() if row.parent in found and pid not in found}
            if not more:
                break
            found |= more
        found |= {pid for pid, started in self.seen.items() if pid in table and table[pid].started == started}
        found.discard(os.getpid())
        self.seen.update({pid: table[pid].started for pid in found})
        # A worker that has just been forked still has the fork server's name.
        newborn = {pid for pid in found if table[pid].role == "forks" and _role(table, table[pid].parent) == "forks"}
        return sorted(pid for pid in (found - newborn if role else found) if not role or table[pid].role == role)

    @staticmethod
    def kill(pid: int, number: int = signal.SIGKILL) -> None:
        """Sends a signal; waits for the end where it is SIGKILL."""
        fd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)
        if number == signal.SIGKILL:
            assert wait_for_end(pid)

    def daemon(self) -> int:
        return _only(self.pids("daemon"))

    def fork_server(self) -> int:
        """Returns the fork server; waits for one that is just being started."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            found = self.pids("forks")
            if len(found) == 1:
                return found[0]
            select.select([], [], [], 0.01)
        pytest.fail(f"{len(found)} fork servers")

    def sockets(self) -> list[str]:
        """Returns the session's listening sockets (in the abstract name space, so no file shows them)."""
        with open("/proc/net/unix") as file:
            return [line.split()[-1] for line in file if self.name in line]

    def assert_no_internal_error(self) -> None:
        """Nothing unexpected was raised in the daemon or in a worker, whatever was done to them."""
        logs = os.path.join(self.session_dir, "logs")
        for name in os.listdir(logs) if os.path.isdir(logs) else []:
            with open(os.path.join(logs, name), errors="replace") as file:
                text = file.read()
            assert "internal error" not in text, f"{name}: {text[-3000:]}"

    def wait_until_gone(self, limit: float = LIMIT, folder_may_stay: bool = False) -> None:
        """Returns when no process, socket or folder of the session is left. Fails with what is."""
        deadline = time.monotonic() + limit
        while pids := self.pids():
            for pid in pids:
                if not wait_for_end(pid, deadline - time.monotonic()):
                    pytest.fail(f"process {pid} of {self.name} is still there after {limit} s: {_describe(pid)}")
        assert not self.sockets()
        assert not [name for name in os.listdir("/dev/shm") if "shoal" in name]
        if not folder_may_stay:
            assert not os.path.exists(self.session_dir)


class _Row:
    __slots__ = ("command_line", "parent", "role", "started")

    def __init__(self, command_line: str, role: str, parent: int, started: float) -> None:
        self.command_line = command_line
        self.role = role
        self.parent = parent
        self.started = started


def _process_table() -> dict[int, _Row]:
    """All processes of this machine that are not zombies."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                before, _, after = file.read().rpartition(")")
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command_line = file.read().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = after.split()
        if fields[0] in "ZX":
            continue
        name = before.partition("(")[2]
        role = name.removeprefix("shoal:") if name.startswith("shoal:") else ""
        if "from shoal._core.process.daemon import main" in command_line:
            role = role or "starting"
        table[int(entry)] = _Row(command_line, role, int(fields[1]), float(fields[19]))
    return table


def _role(table: dict[int, _Row], pid: int) -> str:
    return table[pid].role if pid in table else ""


def _only(pids: list[int]) -> int:
    assert len(pids) == 1, pids
    return pids[0]


def _describe(pid: int) -> str:
    row = _process_table().get(pid)
    return "it has just ended" if row is None else f"{row.role or row.command_line[:200]}, child of {row.parent}"


def wait_for_end(pid: int, seconds: float = LIMIT) -> bool:
    """Waits until a process has ended (it may still be a zombie). Returns False where it has not in time."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))
    finally:
        os.close(fd)


@pytest.fixture
def ends() -> Callable[..., bool]:
    """Waits until a process has ended; False where it has not in time."""
    return wait_for_end


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """Counts this process's file descriptors."""
    return lambda: len(os.listdir("/proc/self/fd"))


@pytest.fixture
def eventually() -> Callable[..., None]:
    """For facts that no event announces (counters of other processes): looks until they hold."""

    def eventually(condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, f"not within {limit} s: {what}"
            select.select([], [], [], 0.01)

    return eventually


class Program:
    """A driver in a process of its own, which prints `session <folder>` first. What it prints is read by lines."""

    def __init__(self, source: str, *arguments: str, folder: str, **environment: str) -> None:
        path = os.path.join(folder, f"driver_{time.monotonic_ns()}.py")
        with open(path, "w") as file:
            file.write(_PROLOGUE + textwrap.dedent(source))
        self.process = subprocess.Popen(
            [sys.executable, path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._unread = b""
        self._ended = False
        self.pid = self.process.pid

    def line(self, limit: float = LIMIT) -> str:
        """Returns the next line of standard output; '' at its end."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + limit
        fd = self.process.stdout.fileno()
        while b"\n" not in self._unread and not self._ended:
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                pytest.fail(f"the driver printed nothing for {limit} s; so far: {self._unread!r}")
            data = os.read(fd, 65536)
            self._ended = not data
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def session(self) -> SessionProcesses:
        """Returns the session that the program has started."""
        word, _, session_dir = self.line().partition(" ")
        if word != "session":
            pytest.fail(f"the driver did not start: {word} {session_dir} {self.errors()}")
        return SessionProcesses(session_dir)

    def until(self, text: str, limit: float = LIMIT) -> str:
        """Reads lines up to one that starts with `text`, and returns that one."""
        while not (line := self.line(limit)).startswith(text):
            if self._ended and not self._unread:
                pytest.fail(f"the driver ended before it printed {text!r}: {self.errors()}")
        return line

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, limit: float = LIMIT) -> int:
        """Waits for the program's end and returns its exit code."""
        return self.process.wait(limit)

    def errors(self) -> str:
        """Returns what it printed on standard error; ends it first, where it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        assert self.process.stderr is not None
        self.process.wait()
        return self.process.stderr.read().decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


_PROLOGUE = """\
import os, signal, sys, threading, time
import shoal
from shoal import engines

# Whatever runs these tests in its background may have had us ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

def begin(**arguments):
    shoal.init(**({"num_cpus": 2, "log_to_driver": False} | arguments))
    print("session", engines.current().session.session_dir, flush=True)

"""


@pytest.fixture
def program(tmp_path: Any) -> Iterator[Callable[..., Program]]:
    """Starts drivers as processes of their own."""
    started: list[Program] = []

    def start(source: str, *arguments: str, **environment: str) -> Program:
        started.append(Program(source, *arguments, folder=str(tmp_path), **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Meeting:
    """A socket at which processes of a test say that they are there, and wait to be let go."""

    def __init__(self, name: str = "") -> None:
        self.name = name or f"test-{os.getpid()}-{time.monotonic_ns()}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("\0" + self.name)
        self._listener.listen(64)
        self._listener.settimeout(LIMIT)
        self._arrived: list[socket.socket] = []

    def arrival(self) -> int:
        """Waits for the next that calls `arrive(meeting.name)`; returns its pid."""
        connection, _ = self._listener.accept()
        self._arrived.append(connection)
        connection.settimeout(LIMIT)
        return int(connection.recv(32))

    def let_go(self) -> None:
        for connection in self._arrived:
            connection.close()
        self._arrived.clear()

    def close(self) -> None:
        self.let_go()
        self._listener.close()


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    one = Meeting()
    yield one
    one.close()


@pytest.fixture
def arrive() -> Callable[..., None]:
    """For tasks: tells the test that this process has come so far; with `stay`, blocks (in C, interruptibly) until let go."""

    def arrive(name: str, stay: bool = True) -> None:
        import os
        import socket

        connection = socket.socket(socket.AF_UNIX)
        connection.connect("\0" + name)
        connection.sendall(str(os.getpid()).encode())
        if stay:
            connection.recv(1)
            connection.close()

    return arrive
