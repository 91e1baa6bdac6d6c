"""`list_logs` and `get_log`: what the processes of a session have printed."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from typing import Any

from shoal.exceptions import InvalidOptionError
from shoal.util.state.listing import get_record
from shoal.util.state.source import engine_at


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: int = 30,
) -> dict[str, list[str]]:
    """Returns the names of log files by component: 'worker_out', 'worker_err', 'daemon'.

    Args:
        address: folder of the session; None for this process's.
        node_id, node_ip: only one node exists.
        glob_filter: pattern of file names, as in 'worker-*.err'.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(_logs_dir(address))):
        if fnmatch.fnmatch(name, glob_filter or "*"):
            found.setdefault(_component(name), []).append(name)
    return found


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = 30,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Iterator[str]:
    """Yields the lines of one log file.

    Args:
        filename: of `list_logs`; or give one of actor_id, task_id and pid.
        tail: only the last so many lines; -1 for all.
        suffix: 'out' or 'err', where no filename is given.
        follow: not supported; read the file itself with `tail -f`.

    Raises:
        InvalidOptionError: (a ValueError) there is no such file, or nothing says which.
    """
    if follow:
        raise InvalidOptionError("follow", follow, "read once, or follow the file itself with `tail -f`")
    logs_dir = _logs_dir(address)
    name = filename or _file_of(address, actor_id, task_id, pid, suffix)
    path = os.path.join(logs_dir, name)
    if os.path.dirname(os.path.abspath(path)) != os.path.abspath(logs_dir) or not os.path.exists(path):
        raise InvalidOptionError("filename", name, "it is not one of list_logs()")
    with open(path, encoding=encoding or "utf-8", errors="replace" if errors is None else errors) as file:
        lines = file.readlines()
    yield from lines if tail < 0 else lines[max(0, len(lines) - tail) :]


def _logs_dir(address: str | None) -> str:
    with engine_at(address) as engine:
        return os.path.join(engine.session.session_dir, "logs")


def _component(name: str) -> str:
    if name.startswith("worker-"):
        return "worker_err" if ".err" in name else "worker_out"
    return name.partition(".")[0]


def _file_of(address: str | None, actor_id: str | None, task_id: str | None, pid: int | None, suffix: str) -> str:
    if actor_id is not None:
        pid = getattr(get_record("actors", actor_id, address), "pid", None)
    elif task_id is not None:
        found: Any = get_record("tasks", task_id, address)
        pid = getattr(found[-1] if isinstance(found, list) else found, "worker_pid", None)
    if pid is None:
        raise InvalidOptionError("filename", None, "give filename, or the actor_id, task_id or pid of what has run")
    from shoal.util.state.listing import list_records

    for worker in list_records("workers", address, [("pid", "=", pid)], 1):
        return f"worker-{worker.worker_id[:16]}.{suffix}"
    raise InvalidOptionError("pid", pid, "no worker of the session has it")
