"""The first steps of a worker in a fresh interpreter. It finds what it is to do at a descriptor that it inherits."""

from __future__ import annotations

import os

import msgspec

from shoal._core.system.fork_channel import content_of
from shoal._core.system.worker_birth import become_fresh_worker, run_entry

TASK_FD = 3


class FreshWorker(msgspec.Struct, array_like=True):
    """What a fresh interpreter needs to know to become a worker."""

    entry: str
    config: bytes
    server_pid: int
    cwd: str


def main() -> None:
    """Becomes the worker and runs its entry; never returns."""
    task = msgspec.msgpack.decode(content_of(TASK_FD), type=FreshWorker)
    become_fresh_worker(task.server_pid)
    if task.cwd:
        os.chdir(task.cwd)
    run_entry(task.entry, task.config)
