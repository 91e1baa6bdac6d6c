"""The daemon's program: one process that is node and head of a session, on one loop and one thread.

Order of birth: close what was inherited, fork the fork server while there is one thread, then listen, start
workers, and serve until the driver ends, or
`stop` is asked for, or a signal comes. Order of death: workers, then the session's folder, then this process.
"""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from shoal._core.schema.daemon_config import DaemonConfig
from shoal._core.schema.ids import new_id
from shoal._core.system.children import watch_pid
from shoal._core.system.event_loop import READ, EventLoop, report_to_stderr
from shoal._core.system.fork_server import ForkServer
from shoal._core.system.process_control import become_subreaper, set_process_name
from shoal._core.system.worker_birth import close_fds_except

WORKER_ENTRY = "shoal._core.api.worker_entry:main"


def main(config_json: str, rest: list[str]) -> None:
    """Runs a daemon until its session ends."""
    config = msgspec.json.decode(config_json.encode(), type=DaemonConfig)
    close_fds_except({0, 1, 2, config.listen_fd, config.lock_fd})
    for fd in (config.listen_fd, config.lock_fd):
        os.set_inheritable(fd, False)
    set_process_name("shoal:daemon")
    sys.argv = ["shoal-daemon"]
    os.chdir(config.cwd)
    become_subreaper()
    fork_server = ForkServer.start(WORKER_ENTRY, preload=config.preload)
    # Only now: what the daemon alone needs shall not be in every worker.
    from shoal._core.process.head import Head
    from shoal._core.process.node import Node

    loop = EventLoop(report_to_stderr)
    node_id = new_id()
    node = Node(
        config,
        node_id,
        loop,
        fork_server,
        WORKER_ENTRY,
    )
    head = Head(node_id, node.send_to_client, node.from_head, config.joinable)
    node.attach_head(head.client_joined, head.handle, head.from_node, head.rows)
    _end_on_signals(loop)
    if config.driver_pid:
        _end_with(config.driver_pid, loop)
    node.start()
    try:
        loop.run()
    finally:
        node.shut_down()
    # All is given back; the interpreter's own tidying up would only keep the driver waiting.
    sys.stderr.flush()
    os._exit(0)


def _end_with(pid: int, loop: EventLoop) -> None:
    """Ends the session when its driver does, however that ends."""
    try:
        fd = watch_pid(pid)
    except ProcessLookupError:
        loop.stop()
        return

    def end(events: int) -> None:
        # It stays readable: the loop goes on while the session is taken down.
        loop.unwatch(fd)
        loop.stop()

    loop.watch(fd, READ, end)


def _end_on_signals(loop: EventLoop) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def note(number: int, frame: object) -> None:
        return

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)

    def end(events: int) -> None:
        os.read(reading, 4096)
        loop.stop()

    loop.watch(reading, READ, end)
