"""The node's worker processes: started through the fork server, known by id, their output kept, their deaths explained."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable

import msgspec

from shoal._core.schema.ids import new_id
from shoal._core.schema.worker_config import WorkerConfig
from shoal._core.system.death import explain_death, needs_oom_evidence
from shoal._core.system.event_loop import READ, EventLoop
from shoal._core.system.fork_messages import Event, Exited, Forked, ForkFailed, Preloaded, ServerDied
from shoal._core.system.fork_server import ForkServer
from shoal._core.system.oom_evidence import OomEvidence
from shoal._core.system.rotating_log import RotatingLog
from shoal._core.system.transport import Connection
from shoal._core.system.worker_output import OutputLine, OutputPipe
from shoal.exceptions import DeathCause

KEPT_DEATHS = 1000
MOST_BARREN = 3
"""So many fork servers of one environment may die in a row before a worker comes up, until starting workers is held to fail."""


class WorkerProcess:
    """One worker of this node."""

    __slots__ = (
        "address",
        "connection",
        "end",
        "env_key",
        "intended",
        "lease_token",
        "over_memory",
        "pid",
        "pipes",
        "start_again",
        "started",
        "title",
        "token",
        "worker_id",
    )

    def __init__(self, worker_id: bytes, token: int, env_key: str) -> None:
        self.worker_id = worker_id
        self.token = token
        self.env_key = env_key
        self.lease_token: int | None = None
        """By which the scheduler asked for it."""
        self.pid = 0
        self.address = ""
        self.connection: Connection | None = None
        self.pipes: list[OutputPipe] = []
        self.intended: str | None = None
        """Why we end it, once we do."""
        self.over_memory = False
        self.start_again = False
        """It had not come up when its fork server died, and is not to blame for that."""
        self.end: Exited | None = None
        self.started = time.time()
        self.title = "worker"


class WorkerProcesses:
    """All workers of one node. Belongs to the daemon's loop."""

    def __init__(
        self,
        fork_server: ForkServer,
        loop: EventLoop,
        logs_dir: str,
        config_for: Callable[[bytes, str], WorkerConfig],
        on_died: Callable[[WorkerProcess, DeathCause], None],
        on_start_failed: Callable[[WorkerProcess, str], None],
        on_output: Callable[[list[OutputLine]], None],
        on_server_died: Callable[[str], None],
        launch_server: Callable[[str], ForkServer],
        node_name: str,
        machine_memory: int,
    ) -> None:
        self._servers: dict[str, ForkServer] = {}
        """By environment; those of which workers were asked for."""
        self._barren: dict[str, int] = {}
        """By environment: how many fork servers in a row have died since a worker last came up."""
        self._dying: set[ForkServer] = set()
        """They have died, and the ends of their workers are still being told."""
        self._loop = loop
        self._logs_dir = logs_dir
        self._config_for = config_for
        self._on_died = on_died
        self._on_start_failed = on_start_failed
        self._on_output = on_output
        self._on_server_died = on_server_died
        self._launch_server = launch_server
        self._node_name = node_name
        self.killed_for_memory: Callable[[bytes], bool] = _never
        self.on_lost: Callable[[bytes], None] = _ignore
        """A worker is about to end: nothing more may be given to it."""
        self._machine_memory = machine_memory
        self._oom = OomEvidence()
        self._tokens = itertools.count(1)
        self._by_token: dict[int, WorkerProcess] = {}
        self.by_id: dict[bytes, WorkerProcess] = {}
        self.deaths: dict[bytes, DeathCause] = {}
        """Why workers died, for those who ask later; the oldest are forgotten."""
        self._add_server("", fork_server)

    @property
    def running(self) -> bool:
        """Whether the fork server, or a worker of it, still lives."""
        return bool(self._by_token) or any(server.alive for server in self._servers.values())

    def _add_server(self, env_key: str, server: ForkServer) -> None:
        self._servers[env_key] = server
        self._loop.watch(server.fileno(), READ, lambda events: self._on_fork_events(env_key, server))

    def _server_of(self, env_key: str) -> ForkServer:
        server = self._servers.get(env_key)
        if server is None:
            server = self._launch_server(env_key)
            self._add_server(env_key, server)
        return server

    # --- orders -----------------------------------------------------------------------------------------------------------

    def start(self, env_key: str = "") -> WorkerProcess:
        """Starts a worker; it says hello on the daemon's socket when it is up."""
        worker = WorkerProcess(new_id(), next(self._tokens), env_key)
        self._by_token[worker.token] = worker
        self.by_id[worker.worker_id] = worker
        name = worker.worker_id.hex()[:16]
        for stream in ("out", "err"):
            log = RotatingLog(os.path.join(self._logs_dir, f"worker-{name}.{stream}"))
            pipe = OutputPipe(log, is_stderr=stream == "err")
            worker.pipes.append(pipe)
            self._loop.watch(pipe.fileno(), READ, self._reader(pipe))
        config = msgspec.msgpack.encode(self._config_for(worker.worker_id, env_key))
        out, err = worker.pipes
        self._server_of(env_key).spawn(worker.token, config, out.writing_fd, err.writing_fd)
        for pipe in worker.pipes:
            pipe.close_writing_end()
        return worker

    def end(self, worker_id: bytes, reason: str, over_memory: bool = False) -> None:
        """Kills a worker with all that it started; `reason` becomes part of the explanation of its death."""
        worker = self.by_id.get(worker_id)
        if worker is None or worker.end is not None:
            return
        worker.over_memory = over_memory
        if worker.intended is None:
            worker.intended = reason
        server = self._servers.get(worker.env_key)
        if worker.pid and server is not None:
            server.kill(worker.pid)

    def connected(self, worker_id: bytes, connection: Connection, address: str) -> WorkerProcess | None:
        """A worker said hello."""
        worker = self.by_id.get(worker_id)
        if worker is not None:
            worker.connection = connection
            worker.address = address
            # Its hello may overtake the fork server's word of its birth.
            self._know_pid(worker, connection.peer_pid)
            self._barren.pop(worker.env_key, None)
        return worker

    def preload(self, modules: list[str]) -> None:
        self._server_of("").preload(modules)

    def stop(self) -> None:
        """Kills all workers, then the fork servers."""
        for server in self._servers.values():
            server.stop()

    # --- events -----------------------------------------------------------------------------------------------------------

    def _on_fork_events(self, env_key: str, server: ForkServer) -> None:
        events = server.read_events()
        for position, event in enumerate(events):
            if isinstance(event, ServerDied) and not event.requested:
                # Before all that happened with it: that may ask for new workers.
                self._replace_server(env_key, server, _status_text(event.status), events[:position])
        for event in events:
            self._on_fork_event(server, event)
        if server in self._dying and server.finished:
            self._dying.discard(server)
            self._loop.unwatch(server.fileno())
            server.close()

    def _on_fork_event(self, server: ForkServer, event: Event) -> None:
        if isinstance(event, Forked):
            worker = self._by_token.get(event.token)
            if worker is not None:
                self._know_pid(worker, event.pid)
                if worker.intended is not None:
                    server.kill(event.pid)
        elif isinstance(event, Exited):
            worker = self._by_token.pop(event.token, None)
            if worker is not None:
                worker.end = event
                self._bury(worker)
        elif isinstance(event, ForkFailed):
            worker = self._by_token.pop(event.token, None)
            if worker is not None and worker.connection is not None:
                # It was forked and has said hello, but its fork server died before it could report it.
                worker.end = Exited(event.token, worker.pid, signal.SIGKILL, 0, 0.0, 0.0)
                self._bury(worker)
            elif worker is not None:
                self.by_id.pop(worker.worker_id, None)
                self._on_start_failed(worker, event.error)
        elif isinstance(event, (ServerDied, Preloaded)):
            return

    def _know_pid(self, worker: WorkerProcess, pid: int) -> None:
        worker.pid = pid
        for pipe in worker.pipes:
            pipe.pid = pid

    def _replace_server(self, env_key: str, server: ForkServer, end: str, before: list[Event]) -> None:
        """A fork server died, and its workers die with it, save those that had ended `before`: another one takes its place.

        Where one after the other dies before a worker has come up, the next is started only when a worker is asked for again, and
        the failed starts are told."""
        barren = self._barren[env_key] = self._barren.get(env_key, 0) + 1
        self._dying.add(server)
        del self._servers[env_key]
        if barren <= MOST_BARREN:
            self._add_server(env_key, self._launch_server(env_key))
        ended = {event.token for event in before if isinstance(event, Exited)}
        doomed = [
            worker for token, worker in self._by_token.items() if worker.env_key == env_key and token not in ended
        ]
        for worker in doomed:
            if worker.intended is None:
                worker.intended = f"the fork server ended ({end}), and its workers with it"
            worker.start_again = barren <= MOST_BARREN and worker.connection is None
        for worker in doomed:
            self.on_lost(worker.worker_id)
        self._on_server_died(end)

    def _reader(self, pipe: OutputPipe) -> Callable[[int], None]:
        def read(events: int) -> None:
            lines = pipe.read()
            if lines:
                self._on_output(lines)
            if pipe.closed:
                self._close_pipe(pipe)

        return read

    def read_all_output(self) -> None:
        """Reads what workers have printed up to now."""
        for worker in self._by_token.values():
            for pipe in worker.pipes:
                if pipe.fileno() >= 0 and (lines := pipe.read()):
                    self._on_output(lines)

    def _close_pipe(self, pipe: OutputPipe) -> None:
        if pipe.fileno() >= 0:
            self._loop.unwatch(pipe.fileno())
            pipe.close()

    def _bury(self, worker: WorkerProcess) -> None:
        """All that the worker printed is read, then its death is told."""
        assert worker.end is not None
        for pipe in worker.pipes:
            while pipe.fileno() >= 0 and (lines := pipe.read()):
                self._on_output(lines)
            self._close_pipe(pipe)
        self.by_id.pop(worker.worker_id, None)
        intended = worker.intended or ""
        if self.killed_for_memory(worker.worker_id):
            worker.over_memory = True
        evidence = self._oom.look(worker.pid) if needs_oom_evidence(worker.end.status, intended) else ""
        death = explain_death(
            worker.pid,
            worker.end.status,
            intended=intended,
            over_memory=worker.over_memory,
            oom_evidence=evidence,
            peak_memory=worker.end.peak_memory,
            machine_memory=self._machine_memory,
            stderr_tail=worker.pipes[1].tail(),
            node=self._node_name,
        )
        self.deaths[worker.worker_id] = death
        if len(self.deaths) > KEPT_DEATHS:
            del self.deaths[next(iter(self.deaths))]
        self._on_died(worker, death)


def _never(worker_id: bytes) -> bool:
    return False


def _ignore(worker_id: bytes) -> None:
    return


def _status_text(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
