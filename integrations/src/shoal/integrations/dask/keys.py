"""Keys of Dask's and ids of shoal's: each can be read off the other.

A key is a name for people, '-', and the id in hexadecimal digits. Dask groups what has the same name: on its dashboard, and to guess how
long a task will take.
"""

from __future__ import annotations

import hashlib
import itertools
import os

from shoal.engines import DYNAMIC, STREAMING

TASK_ID_SIZE = 24
OBJECT_ID_SIZE = 28
_DIGITS = 2 * OBJECT_ID_SIZE
NO_RESULT = 0xFFFFFFFF
"""The index of a task's own key, where that is none of its results."""


class TaskIds:
    """Makes the ids of all tasks that this process submits."""

    def __init__(self) -> None:
        self._prefix = os.urandom(16)
        self._count = itertools.count(1)

    def new(self) -> bytes:
        """Returns the next one."""
        return self._prefix + next(self._count).to_bytes(8, "big")


def key_of(name: str, task_id: bytes, index: int = 0) -> str:
    """Returns the key of a task's result number `index`."""
    return f"{name}-{task_id.hex()}{index:08x}"


def keys_of(name: str, task_id: bytes, number: int) -> tuple[str, list[str]]:
    """Returns the key of a task, and the keys of its results.

    Args:
        name: for people.
        task_id: its id.
        number: of results, or STREAMING, DYNAMIC. The task's key is that of the one result, where there is one.
    """
    task = key_of(name, task_id, 0 if number in (1, DYNAMIC) else NO_RESULT)
    is_one = number in (0, 1, STREAMING, DYNAMIC)
    return task, [task] if is_one else [key_of(name, task_id, index) for index in range(number)]


def id_of(key: str) -> bytes:
    """Returns the id of the object that has a key."""
    return bytes.fromhex(key[-_DIGITS:])


def host_of(address: str) -> str:
    """Returns the machine of an address of Dask's: of `tcp://10.0.0.1:8786`, `10.0.0.1`."""
    return address.rpartition("://")[2].rpartition(":")[0]


def node_id_of(host: str) -> bytes:
    """Returns the id by which shoal knows a machine (or a client, where that is what is given)."""
    return hashlib.blake2b(host.encode(), digest_size=16).digest()
