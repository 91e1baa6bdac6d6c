"""The fork server's own program: one thread that forks workers on request, collects the dead, and kills what they leave
behind.

Its life: `Serve` arrives, the worker's entry is imported, then one loop waits for requests, for the ends of children
(SIGCHLD writes to a pipe) and for nothing else. Modules to preload are tried in a child first, so that one that starts
a thread or CUDA does not spoil this process for forking.

It is the subreaper of all that descends from it. Workers are subreapers of their own descendants, so whatever becomes a
child here without having been forked here was left behind by a worker that ended, and is killed. When the daemon ends,
its end of the channel closes: all workers are killed, then this process ends. When this process ends first, the kernel
kills the workers (PDEATHSIG) and the daemon adopts and kills the rest.
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import NoReturn

import msgspec

from shoal._core.system.children import kill_adopted, kill_tree, own_children
from shoal._core.system.fork_channel import ChannelClosed, ForkChannel
from shoal._core.system.fork_messages import (
    Exited,
    Fork,
    Forked,
    ForkFailed,
    ForkMessage,
    Preload,
    Preloaded,
    Request,
    Serve,
    SpawnFresh,
)
from shoal._core.system.fresh_interpreter import start_fresh_worker
from shoal._core.system.fresh_worker import TASK_FD
from shoal._core.system.preloading import count_threads, import_module, why_unsafe_to_fork
from shoal._core.system.process_control import become_subreaper, die_with_parent, set_process_name
from shoal._core.system.worker_birth import become_forked_worker, close_fds_except, prepare_for_workers, run_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

_PROCESS_NAME = "shoal:forks"
_SECONDS_TO_BURY_WORKERS = 5
_VERDICT = b"imported:"
_LONGEST_REASON = 4000
_AROUND_FORKS = (signal.SIGTERM, signal.SIGCHLD)


class _Trial:
    """A module being imported in a child, to see what it does."""

    __slots__ = ("module", "pid", "verdict_fd")

    def __init__(self, module: str, pid: int, verdict_fd: int) -> None:
        self.module = module
        self.pid = pid
        self.verdict_fd = verdict_fd


class ForkService:
    """The state of a fork server. `serve` never returns."""

    def __init__(self, channel: ForkChannel) -> None:
        self._channel = channel
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Request)
        self._pid = os.getpid()
        self._entry = ""
        self._workers: dict[int, int] = {}
        """pid -> token"""
        self._own = own_children()
        self._to_preload: deque[str] = deque()
        self._trial: _Trial | None = None
        self._spoilt = ""
        """Why this process cannot be forked any more."""
        self._idle_threads = count_threads() - 1
        """Those of libraries that the interpreter has loaded as it started, for a .pth file's sake."""
        self._keep_fds: set[int] = set()
        """What preloaded modules have opened, and may go on using in the workers."""
        self._wakeup_fd = -1
        self._epoll = select.epoll()
        self._epoll.register(channel.fileno(), select.EPOLLIN)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def serve(self) -> NoReturn:
        """Serves until the daemon ends or says `Stop`."""
        gc.disable()
        prepare_for_workers()
        become_subreaper()
        set_process_name(_PROCESS_NAME)
        self._wakeup_fd = self._wake_up_on_signals()
        channel_fd = self._channel.fileno()
        try:
            while True:
                for fd, events in self._epoll.poll():
                    if fd == self._wakeup_fd:
                        self._collect()
                        continue
                    if events & select.EPOLLOUT:
                        self._channel.flush()
                        self._watch_channel()
                    if fd == channel_fd and events & ~select.EPOLLOUT:
                        self._receive()
        except ChannelClosed:
            self._end()

    def _wake_up_on_signals(self) -> int:
        """Returns the descriptor that becomes readable when a child ends."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll.register(reading, select.EPOLLIN)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        # The interpreter writes to the wake-up descriptor only for signals that have a handler.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: self._end())
        return reading

    def _receive(self) -> None:
        received = self._channel.receive()
        if received is None:
            return
        payload, fds = received
        request = self._decoder.decode(payload)
        if isinstance(request, Fork):
            self._fork(request, fds)
        elif isinstance(request, SpawnFresh):
            self._spawn_fresh(request, fds)
        elif isinstance(request, Preload):
            self._to_preload.extend(request.modules)
            self._try_next_module()
        elif isinstance(request, Serve):
            self._begin(request)
        else:
            self._end()
        for fd in fds:
            os.close(fd)

    def _tell(self, message: ForkMessage) -> None:
        self._channel.send(self._encoder.encode(message))
        self._watch_channel()

    def _watch_channel(self) -> None:
        writing = select.EPOLLOUT if self._channel.wants_write else 0
        self._epoll.modify(self._channel.fileno(), select.EPOLLIN | writing)

    # --- starting workers ---------------------------------------------------------------------------------------------

    def _begin(self, request: Serve) -> None:
        if not die_with_parent(signal.SIGTERM, request.daemon_pid):
            raise ChannelClosed("the daemon is gone")
        if request.cwd:
            os.chdir(request.cwd)
        self._entry = request.entry
        self._to_preload.extend(request.preload)
        module = request.entry.partition(":")[0]
        self._report_preload(module, self._import_here(module))
        self._try_next_module()

    def _fork(self, request: Fork, fds: list[int]) -> None:
        if self._spoilt:
            self._tell(ForkFailed(request.token, self._spoilt))
            return
        stdout_fd, stderr_fd = fds
        try:
            pid = self._fork_quietly()
        except OSError as error:
            self._tell(ForkFailed(request.token, f"fork failed: {error}"))
            return
        if pid == 0:
            try:
                become_forked_worker(self._pid, stdout_fd, stderr_fd, self._keep_fds)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            run_entry(self._entry, request.config)
        self._add_worker(request.token, pid)

    def _spawn_fresh(self, request: SpawnFresh, fds: list[int]) -> None:
        try:
            pid = start_fresh_worker(self._entry, request, *fds)
        except (OSError, ValueError) as error:
            self._tell(ForkFailed(request.token, f"{request.python_executable!r} cannot be started: {error}"))
            return
        self._add_worker(request.token, pid)

    def _add_worker(self, token: int, pid: int) -> None:
        self._workers[pid] = token
        self._own.add(pid)
        self._tell(Forked(token, pid))

    def _fork_quietly(self) -> int:
        """Forks with signals blocked, so that none reaches this process's handlers in the child, which takes the
        default ones before it unblocks them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _AROUND_FORKS)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AROUND_FORKS)
            raise
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AROUND_FORKS)
        return pid

    # --- preloading ---------------------------------------------------------------------------------------------------

    def _try_next_module(self) -> None:
        while self._to_preload and self._trial is None:
            module = self._to_preload.popleft()
            if module in sys.modules:
                self._report_preload(module, "")
                continue
            self._start_trial(module)

    def _start_trial(self, module: str) -> None:
        verdict_fd, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            pid = self._fork_quietly()
        except OSError as error:
            os.close(verdict_fd)
            os.close(writing)
            self._report_preload(module, f"fork failed: {error}")
            return
        if pid == 0:
            self._run_trial(module, writing)
        os.close(writing)
        self._own.add(pid)
        self._trial = _Trial(module, pid, verdict_fd)

    def _run_trial(self, module: str, verdict_fd: int) -> NoReturn:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            become_forked_worker(self._pid, null, null, {verdict_fd, *self._keep_fds})
            reason = import_module(module) or why_unsafe_to_fork()
            os.write(verdict_fd, _VERDICT + reason.encode("utf-8", "replace")[:_LONGEST_REASON])
        finally:
            os._exit(0)

    def _finish_trial(self, trial: _Trial, status: int) -> None:
        try:
            verdict = os.read(trial.verdict_fd, len(_VERDICT) + _LONGEST_REASON)
        except BlockingIOError:
            verdict = b""  # It said nothing, and what it started still has the pipe.
        os.close(trial.verdict_fd)
        self._trial = None
        if verdict.startswith(_VERDICT):
            reason = verdict[len(_VERDICT) :].decode("utf-8", "replace")
        else:
            reason = f"importing it ended the process (exit code {os.waitstatus_to_exitcode(status)})"
        self._report_preload(trial.module, reason or self._import_here(trial.module))
        self._try_next_module()

    def _import_here(self, module: str) -> str:
        """Imports into this process, for all later forks. Returns what is wrong with it, '' if nothing."""
        before = _open_fds()
        reason = import_module(module)
        self._keep_fds |= _open_fds() - before
        self._spoilt = why_unsafe_to_fork(self._idle_threads)
        # What is here now stays as it is: the collector of no fork looks at it, which would write to its pages and so
        # copy them.
        gc.collect()
        gc.freeze()
        return reason or self._spoilt

    def _report_preload(self, module: str, reason: str) -> None:
        self._tell(Preloaded(module, not reason, reason))

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Collects all children that have ended, and kills what they left."""
        os.read(self._wakeup_fd, 4096)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            self._own.discard(pid)
            self._report_end(pid, status, usage)
            if self._trial is not None and self._trial.pid == pid:
                self._finish_trial(self._trial, status)
        kill_adopted(self._own)

    def _end(self) -> NoReturn:
        """Kills all workers and what they started, reports it if the daemon still listens, and ends this process."""
        try:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # A process that cannot die (stuck in the kernel) must not keep this one.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_SECONDS_TO_BURY_WORKERS)
            for pid in list(self._workers):
                kill_tree(pid, parent=self._pid)
            while True:
                kill_adopted(self._workers)
                try:
                    pid, status, usage = os.wait4(-1, 0)
                except ChildProcessError:
                    break
                self._report_end(pid, status, usage)
            self._finish_sending()
        finally:
            os._exit(0)

    def _report_end(self, pid: int, status: int, usage: struct_rusage) -> None:
        token = self._workers.pop(pid, None)
        if token is None:
            return
        peak_memory = usage.ru_maxrss * 1024
        with suppress(ChannelClosed):
            self._tell(Exited(token, pid, status, peak_memory, usage.ru_utime, usage.ru_stime))

    def _finish_sending(self) -> None:
        with suppress(ChannelClosed):
            while self._channel.wants_write:
                select.select((), (self._channel,), ())
                self._channel.flush()


def _open_fds() -> set[int]:
    """Returns the descriptors of this process, without the one that lists them."""
    with os.scandir("/proc/self/fd") as listing:
        found = {int(entry.name) for entry in listing}
    return {fd for fd in found if _is_open(fd)}


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def serve_from_fork(channel: ForkChannel) -> NoReturn:
    """Makes this process, just forked from a daemon, a fork server on `channel`."""
    try:
        os.setsid()
        atexit._clear()
        _forget_handlers()
        close_fds_except({0, 1, 2, channel.fileno()})
        ForkService(channel).serve()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _forget_handlers() -> None:
    """Takes back what the daemon's code does on signals."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def main() -> NoReturn:
    """What a fork server with an interpreter of its own begins with."""
    ForkService(ForkChannel.from_fd(TASK_FD)).serve()
