"""Starts a session's daemon, and connects this process to it, or to one that runs already."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import msgspec

from shoal._core.process.session_settings import daemon_config
from shoal._core.schema.daemon_config import DaemonConfig
from shoal._core.schema.ids import new_id, new_job_id
from shoal._core.schema.runtime_environment import Environment
from shoal._core.schema.session_request import SessionRequest
from shoal._core.system.session_folder import SessionFolder, is_alive, living_sessions, remove_dead_sessions
from shoal._core.system.transport import listening_socket
from shoal.exceptions import SessionStartError

if TYPE_CHECKING:
    from shoal._core.process.driver import Driver

_BOOT = (
    "import sys; sys.path[:] = {path!r}; from shoal._core.process.daemon import main; main(sys.argv[1], sys.argv[2:])"
)
INFO_NAME = "session.json"


class RunningSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's folder tells those who want to join."""

    address: str
    daemon_pid: int
    joinable: bool
    namespace: str


def start_native(request: SessionRequest) -> Driver:
    """Starts a daemon of our own and joins it; the session ends with this process. Raises SessionStartError."""
    config, daemon_pid = start_daemon(request, driver_pid=os.getpid(), joinable=False)
    return _join(
        f"unix:@{config.listen_name}",
        config.session_dir,
        config.job_id,
        config.namespace,
        daemon_pid=daemon_pid,
        log_to_driver=request.log_to_driver,
        environment=request.environment,
    )


def start_daemon(request: SessionRequest, *, driver_pid: int, joinable: bool) -> tuple[DaemonConfig, int]:
    """Starts a daemon process; returns its settings and its pid.

    It may not be up yet when this returns, but connections to it can be made."""
    remove_dead_sessions()
    folder = SessionFolder.create()
    listen_name = f"shoal-{folder.name}"
    listener = listening_socket(listen_name)
    config = daemon_config(
        request,
        folder,
        listen_fd=listener.fileno(),
        listen_name=listen_name,
        driver_pid=driver_pid,
        joinable=joinable,
        sys_path=[path or os.getcwd() for path in sys.path],
    )
    pid = _spawn(config, folder, listener)
    listener.close()
    os.close(folder.lock_fd)
    write_info(
        folder.path,
        RunningSession(address=f"unix:@{listen_name}", daemon_pid=pid, joinable=joinable, namespace=config.namespace),
    )
    return config, pid


def _spawn(config: DaemonConfig, folder: SessionFolder, listener: socket.socket) -> int:
    log = os.open(os.path.join(folder.logs, "daemon.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    encoded = msgspec.json.encode(config).decode()
    boot = _BOOT.format(path=sys.path)
    for fd in (listener.fileno(), folder.lock_fd):
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", boot, encoded],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        folder.remove()
        raise SessionStartError(f"the daemon could not be started with {sys.executable}: {error}") from error
    finally:
        os.close(log)
        os.close(null)


def write_info(session_dir: str, info: RunningSession) -> None:
    path = os.path.join(session_dir, INFO_NAME)
    with open(path + ".new", "wb") as file:
        file.write(msgspec.json.encode(info))
    os.replace(path + ".new", path)


def read_info(session_dir: str) -> RunningSession:
    """Reads what a session's folder tells. Raises SessionStartError."""
    try:
        with open(os.path.join(session_dir, INFO_NAME), "rb") as file:
            return msgspec.json.decode(file.read(), type=RunningSession)
    except (OSError, msgspec.DecodeError) as error:
        raise SessionStartError(f"{session_dir} is not the folder of a shoal session: {error}") from None


def connect_native(request: SessionRequest) -> Driver:
    """Joins a session that runs already: `auto` (the newest that may be joined), or a session folder.

    Raises SessionStartError (also a ConnectionError)."""
    address = request.address or "auto"
    if address == "auto":
        for session_dir in living_sessions():
            info = read_info(session_dir)
            if info.joinable:
                break
        else:
            raise SessionStartError(
                "there is no session to join on this machine: start one with `shoal start --head`, or call shoal.init() without an address"
            )
    else:
        session_dir = os.path.abspath(address)
        if not is_alive(session_dir):
            raise SessionStartError(
                f"no session runs in {session_dir}: it has ended, or the folder is not one of a session"
            )
        info = read_info(session_dir)
    namespace = request.namespace or f"anonymous-{os.urandom(8).hex()}"
    return _join(
        info.address,
        session_dir,
        new_job_id(),
        namespace,
        log_to_driver=request.log_to_driver,
        environment=request.environment,
    )


def attach_tool(session_dir: str) -> Driver:
    """Connects a command to a running session, to look at it. Raises SessionStartError."""
    info = read_info(session_dir)
    return _join(info.address, session_dir, b"\0" * 4, info.namespace, role="tool", log_to_driver=False)


def _join(
    address: str,
    session_dir: str,
    job_id: bytes,
    namespace: str,
    *,
    daemon_pid: int = 0,
    role: str = "driver",
    log_to_driver: bool,
    environment: Environment | None = None,
) -> Driver:
    # Imported here, so that it happens while a daemon that was just started does the same.
    from shoal._core.process.driver import Driver

    try:
        client = Driver(
            worker_id=new_id(),
            role=role,
            daemon_address=address,
            job_id=job_id,
            namespace=namespace,
            daemon_pid=daemon_pid,
            log_to_driver=log_to_driver,
        )
        if environment is not None:
            client.environment_json = environment.json.decode()
        client.start()
    except (OSError, SessionStartError) as error:
        raise SessionStartError(f"{error}{_daemon_log(session_dir)}") from None
    return client


def _daemon_log(session_dir: str) -> str:
    try:
        with open(os.path.join(session_dir, "logs", "daemon.log"), errors="replace") as file:
            tail = file.read()[-4000:].strip()
    except OSError:
        return ""
    return f"\nThe daemon's log ends with:\n{tail}" if tail else ""
