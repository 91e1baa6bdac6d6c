"""How a process becomes a worker, forked or fresh, and how it ends: cut off from what it inherited, tied to its fork
server, with streams of its own."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NoReturn

from shoal._core.system.process_control import become_subreaper, die_with_parent, flush_c_streams, set_process_name
from shoal._core.system.worker_streams import install_worker_streams

_PROCESS_NAME = "shoal:worker"
_INTERRUPTED = 128 + signal.SIGINT
_FIRST_TO_GO_WHEN_MEMORY_RUNS_OUT = b"1000"


def prepare_for_workers() -> None:
    """Does in a fork server what its workers would otherwise each do for themselves: whatever a fork writes to is copied for it first.

    Interrupts are blocked from here on; workers unblock them.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    install_worker_streams()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))


def become_forked_worker(server_pid: int, stdout_fd: int, stderr_fd: int, keep_fds: Collection[int] = ()) -> None:
    """Sets this process, just forked, apart from its fork server. Ends it where that is dead already.

    Args:
        server_pid: the parent, which has called `prepare_for_workers`; the worker is killed when it ends.
        stdout_fd: becomes standard output.
        stderr_fd: becomes standard error.
        keep_fds: further descriptors to keep; all others are closed.
    """
    os.setsid()
    _become_worker(server_pid)
    os.dup2(stdout_fd, 1)
    os.dup2(stderr_fd, 2)
    close_fds_except({0, 1, 2, *keep_fds})
    _take_default_signals()
    _reseed()
    gc.enable()


def become_fresh_worker(server_pid: int) -> None:
    """Makes a fresh interpreter a worker of the fork server that started it. Ends it where that is dead already."""
    _become_worker(server_pid)
    close_fds_except({0, 1, 2})
    install_worker_streams()


def _become_worker(server_pid: int) -> None:
    if not die_with_parent(signal.SIGKILL, server_pid):
        os._exit(1)
    # Orphans among the worker's descendants stay its descendants, so whoever ends it finds them.
    become_subreaper()
    set_process_name(_PROCESS_NAME)
    _volunteer_for_the_oom_killer()


def _take_default_signals() -> None:
    """Ctrl-C interrupts the main thread, all else has its default effect; nothing is blocked."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _volunteer_for_the_oom_killer() -> None:
    """When memory runs out, the kernel should end a worker, which can be retried, and neither the daemon nor the driver."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return  # Some sandboxes hide it; all else works without.
    with suppress(PermissionError):
        os.write(fd, _FIRST_TO_GO_WHEN_MEMORY_RUNS_OUT)
    os.close(fd)


def close_fds_except(keep: Collection[int]) -> None:
    """Closes all descriptors of this process that are not in `keep`."""
    start = 0
    for fd in sorted(keep):
        # Python 3.11 takes the empty range from 0 to 0 for all there are.
        if fd > start:
            os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, 2**31 - 1)


def _reseed() -> None:
    """Gives the random generators of modules that are loaded new seeds; else all forks would draw the same numbers.

    The `random` module does it by itself.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        # CUDA's generators need none: they are seeded at first use, which is after the fork.
        torch.default_generator.seed()


def resolve_entry(entry: str) -> Callable[[bytes], object]:
    """Returns the function that 'module:function' names, importing the module."""
    module, _, function = entry.partition(":")
    found: Callable[[bytes], object] = getattr(importlib.import_module(module), function)
    return found


def run_entry(entry: str, config: bytes) -> NoReturn:
    """Calls the function with the config and ends the process as an interpreter does when its program ends: an
    exception is printed, SystemExit gives the exit code, threads are waited for, and atexit callbacks run.

    Args:
        entry: 'module:function'.
        config: its argument.
    """
    exit_code = 1
    try:
        exit_code = _run_program(entry, config)
        _run_exit_callbacks()
    finally:
        # Whatever happens, control must not go back into the fork server's loop, which is below this on a fork's stack.
        os._exit(exit_code)


def _run_program(entry: str, config: bytes) -> int:
    """Returns the exit code."""
    try:
        resolve_entry(entry)(config)
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return (ending.code or 0) & 0xFF
        sys.stderr.write(f"{ending.code}\n")
        return 1
    except BaseException as error:
        # Without this function's own frame.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _run_exit_callbacks() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        # The program may have closed or replaced them, and the reader may be gone: nobody is left to be told.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    flush_c_streams()
