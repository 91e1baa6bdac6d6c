"""Running an installer: one command at a time, with a deadline, and dead when we are."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from shoal._core.system.children import own_children, watch_pid
from shoal.exceptions import RuntimeEnvSetupError

_LINES_IN_ERRORS = 20
_LEASH = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "  # PR_SET_PDEATHSIG, SIGKILL
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)


def run_installer(
    command: Sequence[str], *, environ: Mapping[str, str], log: str, cwd: str, deadline: float | None, what: str
) -> None:
    """Runs a command to its end. It has no input, and its output is appended to the log.

    Args:
        command: path of the program, and its arguments.
        environ: all its environment variables.
        log: path of the log file.
        cwd: its folder.
        deadline: by `time.monotonic`; the command and what it has started are killed then. None for none.
        what: what it does, for errors: '`pip install`'.

    Raises:
        RuntimeEnvSetupError: it failed, or took too long; with the log's last lines.
    """
    with open(log, "ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            # Not by `preexec_fn`, which may hang where there are threads.
            [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(environ),
            start_new_session=True,
        )
    own_children().add(process.pid)
    try:
        ended = _wait(process.pid, deadline)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        own_children().discard(process.pid)
    if not ended:
        limit = "runtime_env['config']['setup_timeout_seconds']"
        raise RuntimeEnvSetupError(f"{what} was not done within {limit}. Its output ends with:\n{_tail(log, start)}")
    if process.returncode != 0:
        code = process.returncode
        end = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise RuntimeEnvSetupError(f"{what} {end}. Its output ends with:\n{_tail(log, start)}")


def _wait(pid: int, deadline: float | None) -> bool:
    """Returns whether the process has ended before the deadline."""
    fd = watch_pid(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(fd)


def _tail(log: str, start: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LINES_IN_ERRORS:])
