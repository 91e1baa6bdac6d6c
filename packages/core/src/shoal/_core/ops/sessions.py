"""Starting and stopping sessions from the command line."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

import click

from shoal._core.api.session_arguments import parse_session
from shoal._core.process.launcher import attach_tool, read_info, start_daemon
from shoal._core.schema.session_request import SessionRequest
from shoal._core.system.session_folder import living_sessions
from shoal.exceptions import ShoalError


def start_session(
    *,
    num_cpus: float | None,
    num_gpus: float | None,
    resources_json: str,
    labels_text: str,
    memory: int | None,
    object_store_memory: int | None,
    temp_dir: str | None,
    block: bool,
) -> None:
    """Starts a session and says how to join it; returns when it answers, or with `block` when it has ended."""
    request = _request(num_cpus, num_gpus, resources_json, labels_text, memory, object_store_memory, temp_dir)
    try:
        config, pid = start_daemon(request, driver_pid=0, joinable=True)
        attach_tool(config.session_dir).shutdown()
    except ShoalError as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"A shoal session runs in {config.session_dir}\n"
        "  join it from Python    shoal.init('auto')\n"
        "  look at it             shoal status\n"
        "  end it                 shoal stop"
    )
    if block:
        _stay(pid)


def _request(
    num_cpus: float | None,
    num_gpus: float | None,
    resources_json: str,
    labels_text: str,
    memory: int | None,
    object_store_memory: int | None,
    temp_dir: str | None,
) -> SessionRequest:
    try:
        resources = json.loads(resources_json)
    except ValueError as error:
        raise click.UsageError(f"--resources={resources_json!r} is no JSON: {error}") from None
    labels: dict[str, str] = {}
    for part in filter(None, labels_text.split(",")):
        key, sign, value = part.partition("=")
        if not sign:
            raise click.UsageError(f"--labels: {part!r} is not of the form key=value")
        labels[key.strip()] = value.strip()
    from shoal._core.api.runtime import init

    defaults = init.__kwdefaults__ or {}
    given: dict[str, Any] = {
        **defaults,
        "address": "local",
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "resources": resources or None,
        "labels": labels or None,
        "_memory": memory,
        "object_store_memory": object_store_memory,
        "_temp_dir": temp_dir,
    }
    try:
        return parse_session(given, None)
    except (ShoalError, ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None


def _stay(pid: int) -> None:
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
    except KeyboardInterrupt:
        _end(pid, 16.0)
    finally:
        os.close(fd)


def stop_sessions(grace_seconds: float) -> None:
    """Ends all joinable sessions of this user."""
    stopped = 0
    for session_dir in living_sessions():
        info = read_info(session_dir)
        if info.joinable:
            _end(info.daemon_pid, grace_seconds)
            stopped += 1
            click.echo(f"stopped {session_dir}")
    if not stopped:
        click.echo("No session runs that was started with `shoal start`.", err=True)


def _end(pid: int, grace_seconds: float) -> None:
    """Asks a daemon to end, and kills it if it does not in time; its processes go with it."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if grace_seconds > 0:
            signal.pidfd_send_signal(fd, signal.SIGTERM)
            if poll.poll(grace_seconds * 1000):
                return
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        poll.poll(5000)
    finally:
        os.close(fd)


def session_folder(address: str | None) -> str:
    """Returns the folder of the session that a command means. Raises ClickException where none runs."""
    if address not in (None, "auto"):
        assert address is not None
        return os.path.abspath(address)
    living = living_sessions()
    if not living:
        raise click.ClickException(
            "no session of yours runs; start one with `shoal start --head`, or name it with --address"
        )
    return living[0]


def now_text() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
