"""The daemon's side of a fork server: starts it, asks it for workers, hears of their ends, and cleans up after it."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from shoal._core.system.children import kill_adopted, kill_group, kill_tree, own_children, send_signal, watch_pid
from shoal._core.system.fork_channel import ChannelClosed, ForkChannel
from shoal._core.system.fork_messages import (
    Event,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Preload,
    Report,
    Request,
    Serve,
    ServerDied,
    SpawnFresh,
    Stop,
)
from shoal._core.system.fork_service import serve_from_fork
from shoal._core.system.fresh_interpreter import start_fork_server
from shoal._core.system.process_control import become_subreaper
from shoal.exceptions import InvalidOptionError, ShoalSystemError

# Descriptors on their way count against a limit of the kernel, so only so many requests are on their way at a time.
_MOST_UNANSWERED = 64


class ForkServer:
    """One fork server, as its daemon sees it. Nothing here blocks, and all of it belongs to one thread.

    Wait until `fileno()` is readable, at any time, also after `spawn`; then `read_events()` tells what happened, in
    order: every token that was given to `spawn` or `spawn_fresh` gets one `Forked` or one `ForkFailed`, and every
    `Forked` one `Exited`, also when the fork server itself dies. Make it with `start` or `launch`; both make this
    process the subreaper of its descendants.
    """

    def __init__(self, pid: int, channel: ForkChannel) -> None:
        self.pid = pid
        self._channel = channel
        self._own = own_children()
        self._own.add(pid)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Report)
        self._workers: dict[int, int] = {}
        """pid -> token"""
        self._unanswered: set[int] = set()
        self._held_back: deque[tuple[Fork | SpawnFresh, int, int]] = deque()
        self._orphans: dict[int, int] = {}
        """After the fork server's death: what this process adopted of its descendants; pidfd -> pid."""
        self._events: list[Event] = []
        self._stopping = False
        self.alive = True
        """False once `ServerDied` has been reported."""
        self._pidfd = watch_pid(pid)
        self._epoll = select.epoll()
        self._epoll.register(self._pidfd, select.EPOLLIN)
        self._epoll.register(channel.fileno(), select.EPOLLIN)

    @classmethod
    def start(cls, entry: str, preload: Sequence[str] = ()) -> ForkServer:
        """Forks this process; the child is the fork server. It keeps this process's standard output and error.

        Args:
            entry: 'module:function', called as function(config) in each worker. Its module is imported in the fork
                server.
            preload: modules to import there, in this order; each is reported as `Preloaded`.

        Raises:
            ShoalSystemError: this process has more than one thread of Python's, so a fork of it might hang. (Those of libraries that the
                interpreter has loaded as it started, for a .pth file's sake, are idle, and a fork is rid of them.)
        """
        threading = sys.modules.get("threading")
        threads = 1 if threading is None else threading.active_count()
        if threads > 1:
            raise ShoalSystemError(
                f"the fork server must be started before the process has threads (it has {threads}); use ForkServer.launch"
            )
        become_subreaper()
        ours, theirs = ForkChannel.pair()
        # What is still in a buffer would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        daemon_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            serve_from_fork(theirs)
        theirs.close()
        server = cls(pid, ours)
        server._request(Serve(entry, list(preload), daemon_pid, ""))
        return server

    @classmethod
    def launch(
        cls,
        entry: str,
        preload: Sequence[str] = (),
        *,
        python_executable: str = sys.executable,
        environ: Mapping[str, str] | None = None,
        cwd: str = "",
        sys_path: Sequence[str] = (),
        stdout_fd: int = 1,
        stderr_fd: int = 2,
    ) -> ForkServer:
        """Starts another interpreter as fork server, for an environment of its own. It must be able to import shoal and
        msgspec.

        Args:
            entry: 'module:function', called as function(config) in each worker. Its module is imported in the fork
                server.
            preload: modules to import there, in this order; each is reported as `Preloaded`.
            python_executable: path of the interpreter.
            environ: all its variables; None for those of this process.
            cwd: its folder, which its workers inherit; '' for that of this process.
            sys_path: folders to put first in sys.path.
            stdout_fd: its standard output, where modules that print while they are imported do so.
            stderr_fd: its standard error; says why if the interpreter ends at once.

        Raises:
            InvalidOptionError: the interpreter cannot be started.
        """
        become_subreaper()
        ours, theirs = ForkChannel.pair()
        try:
            pid = start_fork_server(
                theirs,
                python_executable,
                os.environ if environ is None else environ,
                sys_path,
                stdout_fd,
                stderr_fd,
            )
        except (OSError, ValueError) as error:
            ours.close()
            fix = f"it cannot be started ({error}); give the path of a Python interpreter, and text without NUL characters"
            raise InvalidOptionError("python_executable", python_executable, fix) from error
        finally:
            theirs.close()
        server = cls(pid, ours)
        server._request(Serve(entry, list(preload), os.getpid(), cwd))
        return server

    # --- requests -----------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Returns the descriptor that is readable whenever `read_events` has work to do; watch it for reading only."""
        return self._epoll.fileno()

    def spawn(self, token: int, config: bytes, stdout_fd: int, stderr_fd: int) -> None:
        """Asks for a forked worker. The descriptors stay the caller's, who may close them at once.

        Args:
            token: what the events call it; never used before.
            config: the argument of the entry function.
            stdout_fd: its standard output.
            stderr_fd: its standard error.

        Raises:
            ShoalSystemError: the fork server's death was reported already.
        """
        self._ask(Fork(token, config), stdout_fd, stderr_fd)

    def spawn_fresh(
        self,
        token: int,
        config: bytes,
        stdout_fd: int,
        stderr_fd: int,
        *,
        python_executable: str = sys.executable,
        environ: Mapping[str, str] | None = None,
        cwd: str = "",
        sys_path: Sequence[str] = (),
    ) -> None:
        """Asks for a worker in a fresh interpreter: slower, but without what the fork server has loaded.

        Args:
            token, config, stdout_fd, stderr_fd: as for `spawn`.
            python_executable: path of the interpreter; it must be able to import shoal and msgspec.
            environ: all its variables; None for those of the fork server.
            cwd: its folder; '' for that of the fork server.
            sys_path: folders to put first in sys.path.

        Raises:
            ShoalSystemError: the fork server's death was reported already.
        """
        variables = None if environ is None else dict(environ)
        self._ask(SpawnFresh(token, config, python_executable, variables, cwd, list(sys_path)), stdout_fd, stderr_fd)

    def preload(self, modules: Sequence[str]) -> None:
        """Asks the fork server to import these for later forks; each is reported as `Preloaded`, with the reason where
        it is not safe."""
        self._request(Preload(list(modules)))

    def signal(self, pid: int, signal_number: int, *, group: bool = False) -> bool:
        """Sends a signal to a worker that has not been reported as Exited, or to its process group. Returns whether it
        was sent."""
        if pid not in self._workers:
            return False
        return (kill_group if group else send_signal)(pid, signal_number, self._parent_of_workers)

    def kill(self, pid: int) -> bool:
        """Kills a worker with all that it started. Returns whether it was there; `Exited` follows."""
        return pid in self._workers and bool(kill_tree(pid, self._parent_of_workers))

    def stop(self) -> None:
        """Kills all workers with all that they started, then the fork server; the events tell. Does nothing the second
        time."""
        if self.alive and not self._stopping:
            self._stopping = True
            self._request(Stop())

    def close(self) -> None:
        """Releases the descriptors. A fork server that still runs ends, with all its workers, but no events come any
        more."""
        for _, *fds in self._held_back:
            for fd in fds:
                os.close(fd)
        self._held_back.clear()
        self._channel.close()
        self._epoll.close()
        for pidfd in (self._pidfd, *self._orphans):
            os.close(pidfd)
        self._orphans.clear()

    @property
    def finished(self) -> bool:
        """Whether the fork server and all that it left are gone, so that no more events will come."""
        return not self.alive and not self._orphans

    @property
    def _parent_of_workers(self) -> int:
        return self.pid if self.alive else os.getpid()

    def _ask(self, request: Fork | SpawnFresh, stdout_fd: int, stderr_fd: int) -> None:
        if not self.alive:
            raise ShoalSystemError(f"fork server {self.pid} is dead, so it cannot start a worker; start another one")
        if len(self._unanswered) >= _MOST_UNANSWERED:
            self._held_back.append((request, os.dup(stdout_fd), os.dup(stderr_fd)))
            return
        self._unanswered.add(request.token)
        self._request(request, (stdout_fd, stderr_fd))

    def _request(self, request: Request, fds: Sequence[int] = ()) -> None:
        try:
            self._channel.send(self._encoder.encode(request), fds)
        except ChannelClosed:
            return  # Its pidfd is readable then, and the next events say so.
        self._watch_channel()

    def _watch_channel(self) -> None:
        writing = select.EPOLLOUT if self._channel.wants_write else 0
        self._epoll.modify(self._channel.fileno(), select.EPOLLIN | writing)

    # --- events -------------------------------------------------------------------------------------------------------

    def read_events(self) -> list[Event]:
        """Returns what has happened since the last call, in order; empty if nothing."""
        for fd, events in self._epoll.poll(0):
            if fd == self._pidfd:
                self._bury_server()
            elif fd in self._orphans:
                self._bury_orphan(fd)
            else:
                self._serve_channel(events)
        events_so_far, self._events = self._events, []
        return events_so_far

    def _serve_channel(self, events: int) -> None:
        if not self.alive:
            return
        try:
            if events & select.EPOLLOUT:
                self._channel.flush()
                self._watch_channel()
            self._receive()
        except ChannelClosed:
            # Its end is at hand; the pidfd tells when.
            self._epoll.unregister(self._channel.fileno())

    def _receive(self) -> None:
        while (received := self._channel.receive()) is not None:
            report = self._decoder.decode(received[0])
            if isinstance(report, Forked):
                self._workers[report.pid] = report.token
                self._answered(report.token)
            elif isinstance(report, ForkFailed):
                self._answered(report.token)
            elif isinstance(report, Exited):
                del self._workers[report.pid]
            self._events.append(report)

    def _answered(self, token: int) -> None:
        self._unanswered.discard(token)
        if self._held_back:
            request, *fds = self._held_back.popleft()
            self._ask(request, *fds)
            for fd in fds:
                os.close(fd)

    # --- after its death ----------------------------------------------------------------------------------------------

    def _bury_server(self) -> None:
        """Reports the death and kills what the fork server leaves: its descendants are children of this process from
        then on."""
        with suppress(ChannelClosed):
            self._receive()
        _, status, _ = os.wait4(self.pid, 0)
        self.alive = False
        self._own.discard(self.pid)
        self._epoll.unregister(self._pidfd)
        self._channel.close()
        self._events.append(ServerDied(status, self._stopping))
        held_back = [request.token for request, _, _ in self._held_back]
        for token in (*sorted(self._unanswered), *held_back):
            self._events.append(ForkFailed(token, f"fork server {self.pid} ended before it could start the worker"))
        self._unanswered.clear()
        adopted = self._kill_orphans()
        for pid in self._workers.keys() - adopted:
            # The fork server had collected it, and died before it could tell.
            self._report_worker_end(pid, signal.SIGKILL, 0, 0.0, 0.0)

    def _kill_orphans(self) -> set[int]:
        """Kills the adopted children that there are now, and watches for their ends. Returns their pids."""
        adopted = set(kill_adopted(self._own))
        for pid in adopted - set(self._orphans.values()):
            pidfd = watch_pid(pid)
            self._orphans[pidfd] = pid
            self._epoll.register(pidfd, select.EPOLLIN)
        return adopted

    def _bury_orphan(self, pidfd: int) -> None:
        pid = self._orphans.pop(pidfd)
        self._epoll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        if pid in self._workers:
            self._report_worker_end(pid, status, usage.ru_maxrss * 1024, usage.ru_utime, usage.ru_stime)
        self._kill_orphans()

    def _report_worker_end(self, pid: int, status: int, peak_memory: int, user_time: float, system_time: float) -> None:
        self._events.append(Exited(self._workers.pop(pid), pid, status, peak_memory, user_time, system_time))
