"""Real processes for the tests of what controls them: a fork server that runs the functions of `worker_programs.py`."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from shoal._core.system.children import children_of, own_children, watch_pid
from shoal._core.system.fork_messages import Event, Exited, Forked
from shoal._core.system.fork_server import ForkServer
from shoal._core.system.process_control import become_subreaper

PROGRAMS = os.path.dirname(__file__)
ENTRY = "worker_programs:run"
DEADLINE_SECONDS = 20.0

E = TypeVar("E", bound=Event)


def wait_readable(fd: int) -> None:
    """Waits until the descriptor is readable, or fails."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(DEADLINE_SECONDS * 1000), f"nothing happened within {DEADLINE_SECONDS} s"


def wait_until_gone(*pids: int) -> None:
    """Waits until the processes have ended, or fails."""
    for pid in pids:
        try:
            fd = watch_pid(pid)
        except ProcessLookupError:
            continue
        wait_readable(fd)
        os.close(fd)


@dataclass
class Worker:
    """A worker that was asked for, and the reading ends of its output."""

    token: int
    stdout_fd: int
    stderr_fd: int
    pid: int = 0

    def first_line(self) -> str:
        """Returns what it has printed up to the first end of line."""
        text = b""
        while not text.endswith(b"\n"):
            wait_readable(self.stdout_fd)
            byte = os.read(self.stdout_fd, 1)
            assert byte, f"the output ended: {text!r}"
            text += byte
        return text.decode().strip()

    def output(self) -> str:
        """Returns its standard output up to its end."""
        return _read_all(self.stdout_fd)

    def errors(self) -> str:
        """Returns its standard error up to its end."""
        return _read_all(self.stderr_fd)


def _read_all(fd: int) -> str:
    text = b""
    while True:
        wait_readable(fd)
        chunk = os.read(fd, 65536)
        if not chunk:
            return text.decode(errors="backslashreplace")
        text += chunk


@dataclass
class Nursery:
    """A fork server, as a test drives it."""

    server: ForkServer
    events: list[Event] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def ask(self, program: str, *arguments: object, fresh: bool = False, **options: object) -> Worker:
        """Asks for a worker that runs a function of `worker_programs.py`."""
        (stdout, theirs_out), (stderr, theirs_err) = os.pipe(), os.pipe()
        worker = Worker(len(self.workers) + 1, stdout, stderr)
        self.workers.append(worker)
        config = repr((program, *arguments)).encode()
        spawn = self.server.spawn_fresh if fresh else self.server.spawn
        spawn(worker.token, config, theirs_out, theirs_err, **options)  # type: ignore[arg-type]
        os.close(theirs_out)
        os.close(theirs_err)
        return worker

    def start(self, program: str, *arguments: object, fresh: bool = False, **options: object) -> Worker:
        """As `ask`, and waits until it runs."""
        worker = self.ask(program, *arguments, fresh=fresh, **options)
        worker.pid = self.wait_for(Forked, worker.token).pid
        return worker

    def exit_of(self, worker: Worker) -> Exited:
        """Waits for its end."""
        return self.wait_for(Exited, worker.token)

    def run(self, program: str, *arguments: object, **options: object) -> tuple[Exited, str, str]:
        """Returns how a program ended, and its standard output and error."""
        worker = self.start(program, *arguments, **options)  # type: ignore[arg-type]
        stdout, stderr = worker.output(), worker.errors()
        return self.exit_of(worker), stdout, stderr

    def wait_for(self, kind: type[E], token: int | None = None) -> E:
        """Waits for an event and takes it out of `events`."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and token in (None, getattr(event, "token", None)):
                    self.events.remove(event)
                    return event
            wait_readable(self.server.fileno())
            self.events += self.server.read_events()

    def close(self) -> None:
        for worker in self.workers:
            os.close(worker.stdout_fd)
            os.close(worker.stderr_fd)
        self.server.close()


@pytest.fixture
def wait_gone() -> Callable[..., None]:
    """A function that waits until processes have ended."""
    return wait_until_gone


@pytest.fixture
def parent_of_fork_servers() -> Iterator[None]:
    """Makes pytest fit to start fork servers: what it has started already is no orphan. Leaves it as little of a subreaper as it was."""
    own = own_children()
    before = children_of(os.getpid())
    for pid in before:
        own.add(pid)
    yield
    for pid in before:
        own.discard(pid)
    become_subreaper(False)


@pytest.fixture
def nursery(parent_of_fork_servers: None, tmp_path: Path) -> Iterator[Nursery]:
    """A fork server without preloaded modules, in an interpreter of its own since pytest may have threads.

    It can import modules from `tmp_path`.
    """
    nursery = Nursery(ForkServer.launch(ENTRY, sys_path=[PROGRAMS, str(tmp_path)]))
    yield nursery
    pid, alive = nursery.server.pid, nursery.server.alive
    nursery.close()
    if alive:
        wait_until_gone(pid)
        os.waitpid(pid, 0)
