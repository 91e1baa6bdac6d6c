"""Starting another Python interpreter as a worker or as a fork server, for environments that a fork cannot give: other
packages, variables, folders."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

import msgspec

from shoal._core.system.fork_channel import ForkChannel, memfd_of
from shoal._core.system.fork_messages import SpawnFresh
from shoal._core.system.fresh_worker import TASK_FD, FreshWorker

# `-c` has put the current folder first in sys.path, where it would shadow installed packages; sys_path takes its place.
_BOOTSTRAP = (
    "import sys, os; sys.path[:1] = filter(None, sys.argv[1].split(os.pathsep)); sys.argv[:] = ['']; "
    "from shoal._core.system.{module} import main; main()"
)


def start_fresh_worker(entry: str, request: SpawnFresh, stdout_fd: int, stderr_fd: int) -> int:
    """Starts an interpreter that becomes a worker of this process, a fork server.

    Returns:
        Its pid.

    Raises:
        OSError: the executable cannot be started.
        ValueError: a variable or path holds a NUL character.
    """
    task_fd = memfd_of(msgspec.msgpack.encode(FreshWorker(entry, request.config, os.getpid(), request.cwd)))
    environ = os.environ if request.environ is None else request.environ
    try:
        return _spawn(
            "fresh_worker", request.python_executable, environ, request.sys_path, (stdout_fd, stderr_fd, task_fd)
        )
    finally:
        os.close(task_fd)


def start_fork_server(
    channel: ForkChannel,
    python_executable: str,
    environ: Mapping[str, str],
    sys_path: Sequence[str],
    stdout_fd: int,
    stderr_fd: int,
) -> int:
    """Starts an interpreter that serves forks on `channel`. Returns its pid; raises as `start_fresh_worker` does."""
    return _spawn("fork_service", python_executable, environ, sys_path, (stdout_fd, stderr_fd, channel.fileno()))


def _spawn(
    module: str, python_executable: str, environ: Mapping[str, str], sys_path: Sequence[str], fds: tuple[int, int, int]
) -> int:
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # Above the numbers that they are copied to, so that no copy overwrites one that is still needed.
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, TASK_FD + 1) for fd in (null, *fds)]
    os.close(null)
    try:
        return os.posix_spawn(
            python_executable,
            [python_executable, "-c", _BOOTSTRAP.format(module=module), os.pathsep.join(sys_path)],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE),
        )
    finally:
        for fd in sources:
            os.close(fd)
