"""Identifiers: plain bytes inside, small classes at the edge.

Inside the runtime an id is `bytes`: it hashes fast, travels as is and needs no import. What an id says can be read off it:

    worker id   16 random bytes, one a process that owns objects (drivers are workers too)
    task id     24 bytes = id of the worker that submitted it + 8-byte counter of that worker
    object id   28 bytes = id of the task that made it + 4-byte index of the result
                (a `put` counts as a task of its own with one result)
    node id, actor id, placement group id   16 random bytes
    job id      4 bytes

so `owner_of(object_id)` needs no look-up, on any number of nodes.
"""

from __future__ import annotations

import os
from itertools import count

WORKER_ID_SIZE = 16
NODE_ID_SIZE = 16
ACTOR_ID_SIZE = 16
PLACEMENT_GROUP_ID_SIZE = 16
JOB_ID_SIZE = 4
TASK_ID_SIZE = 24
OBJECT_ID_SIZE = 28

HANDLE_INDEX = 0xFFFFFFFF
"""The result index that stands for 'the handles of the actor that this task created'; such ids count holds, they have no value."""
COMPLETED_INDEX = 0xFFFFFFFE
"""The result index of what is ready when a streaming task has ended."""
HANDLE_SUFFIX = HANDLE_INDEX.to_bytes(4, "big")

_FIRST_RESULT = (0).to_bytes(4, "big")


def new_id() -> bytes:
    """Returns 16 random bytes: a fresh worker, node, actor or placement group id."""
    return os.urandom(16)


def new_job_id() -> bytes:
    return os.urandom(JOB_ID_SIZE)


def owner_of(task_or_object_id: bytes) -> bytes:
    """Returns the id of the worker that submitted the task or owns the object."""
    return task_or_object_id[:WORKER_ID_SIZE]


def task_of(object_id: bytes) -> bytes:
    """Returns the id of the task that made the object."""
    return object_id[:TASK_ID_SIZE]


def object_id_of(task_id: bytes, index: int) -> bytes:
    """Returns the id of a task's result number `index` (from 0)."""
    if index == 0:
        return task_id + _FIRST_RESULT
    return task_id + index.to_bytes(4, "big")


class TaskIds:
    """Task ids of one worker: its own id and a counter. Safe to call from several threads."""

    __slots__ = ("_counter", "_worker_id")

    def __init__(self, worker_id: bytes) -> None:
        self._worker_id = worker_id
        self._counter = count(1)

    def next(self) -> bytes:
        return self._worker_id + next(self._counter).to_bytes(8, "big")
