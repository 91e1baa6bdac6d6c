"""Making a runtime environment in a process of its own, beside a loop that must not wait."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

import msgspec

from shoal._core.schema.runtime_environment import Environment
from shoal._core.system.children import own_children, watch_pid
from shoal._core.system.environments import PreparedEnvironment, prepare_environment
from shoal._core.system.process_control import die_with_parent
from shoal.exceptions import RuntimeEnvSetupError

_BOOT = "import sys; sys.path[:] = {path!r}; from shoal._core.system.environment_process import main; main({fd})"


class _Request(msgspec.Struct):
    environment: Environment
    session_store: str
    cache: str
    parent: int


class _Result(msgspec.Struct):
    prepared: PreparedEnvironment | None = None
    error: str = ""


class PreparingProcess:
    """One environment that is being made.

    Its descriptor (`fileno`) becomes readable at the end; then call `result`. The process ends with this one.
    """

    __slots__ = ("_file", "_pidfd", "pid")

    def __init__(self, pid: int, file: int) -> None:
        self.pid = pid
        self._file = file
        self._pidfd = watch_pid(pid)

    @classmethod
    def start(
        cls, environment: Environment, *, session_store: str, cache: str, environ: Mapping[str, str] | None = None
    ) -> PreparingProcess:
        """Starts to make an environment. Arguments as for `prepare_environment`; without `environ` that of this process
        counts. Raises OSError where no process can be started."""
        file = os.memfd_create("shoal-environment")
        try:
            _write(file, msgspec.msgpack.encode(_Request(environment, session_store, cache, os.getpid())))
            os.set_inheritable(file, True)
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-c", _BOOT.format(path=sys.path, fd=file)],
                os.environ if environ is None else environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE),
            )
        except OSError:
            os.close(file)
            raise
        os.set_inheritable(file, False)
        own_children().add(pid)
        return cls(pid, file)

    def fileno(self) -> int:
        return self._pidfd

    def kill(self) -> None:
        """Ends it; `result` then raises. What it had made is not taken for finished by anybody."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def result(self) -> PreparedEnvironment:
        """Waits for the end, and returns what was made; call it once.

        Raises:
            RuntimeEnvSetupError: it could not be made.
        """
        _, status = os.waitpid(self.pid, 0)
        own_children().discard(self.pid)
        os.close(self._pidfd)
        code = os.waitstatus_to_exitcode(status)
        content = _read(self._file)
        os.close(self._file)
        if code != 0:
            end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise RuntimeEnvSetupError(f"the process that makes it {end}.")
        result = msgspec.msgpack.decode(content, type=_Result)
        if result.prepared is None:
            raise RuntimeEnvSetupError(result.error)
        return result.prepared


def main(file: int) -> None:
    """What the process does: makes the environment that the file describes, and writes there what became of it."""
    request = msgspec.msgpack.decode(_read(file), type=_Request)
    if not die_with_parent(signal.SIGKILL, request.parent):
        sys.exit(1)
    # A command that the installer starts has no use for it.
    os.set_inheritable(file, False)
    try:
        prepared = prepare_environment(request.environment, session_store=request.session_store, cache=request.cache)
    except RuntimeEnvSetupError as error:
        result = _Result(error=error.error_message or "")
    else:
        result = _Result(prepared)
    _write(file, msgspec.msgpack.encode(result))


def _write(file: int, content: bytes) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "wb", closefd=False) as writer:
        writer.write(content)


def _read(file: int) -> bytes:
    with open(file, "rb", closefd=False) as reader:
        reader.seek(0)
        return reader.read()
