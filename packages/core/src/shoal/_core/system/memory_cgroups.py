"""A ceiling that the kernel itself keeps to: a control group (v2) around a process with a `memory=` limit.

It reacts at once, where `memory_limits.MemoryWatch` looks ten times a second, and it says for certain whom the kernel
killed. It exists only where a group has been delegated to us, and it cannot tell apart what the watch can: pages of the
object store that a process is the first to touch count as its own. So it is a second line behind the watch, with
that much more room.
"""

from __future__ import annotations

import os
from contextlib import suppress

from shoal._core.system.cgroups import hierarchies


class MemoryCgroup:
    """A control group around one process and whatever that starts from now on."""

    __slots__ = ("folder", "limit")

    def __init__(self, folder: str, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        """Bytes."""

    def oom_kills(self) -> int:
        """Returns how many of its processes the kernel has killed because of the limit."""
        for line in _read(f"{self.folder}/memory.events").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return 0

    def remove(self) -> None:
        """Removes the group; all its processes must have ended.

        Raises:
            OSError: (EBUSY) there are processes in it still.
        """
        with suppress(FileNotFoundError):
            os.rmdir(self.folder)


class MemoryCgroups:
    """The groups that one node makes, all inside one that was delegated to it.

    Args:
        parent: folder of that group.
    """

    __slots__ = ("parent",)

    def __init__(self, parent: str) -> None:
        self.parent = parent

    @classmethod
    def find(cls, root: str = "/") -> MemoryCgroups | None:
        """Returns the means to make groups inside the group of this process; None where that cannot be done.

        It can where the memory controller is in the v2 hierarchy, the group is ours to write to, and no process is in it
        itself (the kernel's rule for groups that have limited groups inside; the root is exempt).

        Args:
            root: folder in which 'proc' and 'sys' are.
        """
        for hierarchy in hierarchies(root):
            folder = hierarchy.folder
            if (
                hierarchy.version == 2
                and "memory" in _read(f"{folder}/cgroup.controllers").split()
                and os.access(folder, os.W_OK)
            ):
                control = f"{folder}/cgroup.subtree_control"
                if "memory" in _read(control).split() or _written(control, "+memory"):
                    return cls(folder)
        return None

    def limit(self, name: str, pid: int, memory: int, shared_memory: int = 0) -> MemoryCgroup:
        """Puts a process into a new group. What it has allocated before stays accounted to its old group.

        Args:
            name: of the new group; new among all that are there.
            pid: the process.
            memory: bytes that it may use.
            shared_memory: bytes of the object store that it might be the first to touch.

        Raises:
            OSError: the kernel refuses, or the process is gone. No group is left.
        """
        folder = f"{self.parent}/{name}"
        os.mkdir(folder)
        group = MemoryCgroup(folder, memory + shared_memory)
        try:
            _write(f"{folder}/memory.max", str(group.limit))
            # Else the kernel would swap instead of reporting, and the machine would crawl.
            _written(f"{folder}/memory.swap.max", "0")
            _write(f"{folder}/cgroup.procs", str(pid))
        except OSError:
            group.remove()
            raise
        return group


def _written(path: str, text: str) -> bool:
    """Returns whether the kernel took it."""
    try:
        _write(path, text)
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
