"""What the kernel tells of processes that it killed for want of memory."""

from __future__ import annotations

import os
import re

CERTAIN = "certain"
PROBABLE = "probable"

_COUNT = re.compile(rb"^oom_kill (\d+)", re.MULTILINE)
_KILLED = re.compile(rb"Killed process (\d+)")
_MACHINE_ACCOUNT = "/proc/vmstat"
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
_MOST_REMEMBERED = 1000


class OomEvidence:
    """Watches the kernel's accounts from its making on; ask it after each death by SIGKILL that has no other
    explanation.

    Three sources, from best to worst: the kernel's log, which names the process, where it may be read; the count of
    this cgroup; the count of the machine, where the kill may have been in another container. A count explains one
    death, the first that asks.
    """

    __slots__ = ("_cgroup_file", "_cgroup_kills", "_log_fd", "_machine_kills", "_named")

    def __init__(self) -> None:
        self._cgroup_file = _cgroup_account()
        self._cgroup_kills = _count(self._cgroup_file)
        self._machine_kills = _count(_MACHINE_ACCOUNT)
        self._log_fd = _open_kernel_log()
        self._named: dict[int, None] = {}

    def look(self, pid: int) -> str:
        """Returns 'certain' or 'probable' where the kernel killed the process for want of memory, else ''."""
        if self._log_fd >= 0:
            self._machine_kills += self._read_kernel_log()
            if pid in self._named:
                del self._named[pid]
                return CERTAIN
        elif _count(self._cgroup_file) > self._cgroup_kills:
            self._cgroup_kills += 1
            return CERTAIN
        if _count(_MACHINE_ACCOUNT) > self._machine_kills:
            self._machine_kills += 1
            return PROBABLE
        return ""

    def close(self) -> None:
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1

    def _read_kernel_log(self) -> int:
        """Returns how many kills it names that were not known."""
        found = 0
        while True:
            try:
                record = os.read(self._log_fd, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # Records were overwritten before they were read; the next read goes on after them.
            named = _KILLED.search(record)
            if named:
                found += 1
                self._named[int(named.group(1))] = None
        while len(self._named) > _MOST_REMEMBERED:
            del self._named[next(iter(self._named))]
        return found


def _open_kernel_log() -> int:
    """Returns a descriptor at the log's end; -1 where it may not be read, or names processes by other pids than
    ours."""
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
            return -1
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    os.lseek(fd, 0, os.SEEK_END)
    return fd


def _cgroup_account() -> str:
    """Returns the file in which the kernel counts the kills in this process's cgroup; '' where there is none."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            entries = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    for _, controllers, path in entries:
        if "memory" in controllers.split(","):
            folders, name = (f"/sys/fs/cgroup/memory{path}", "/sys/fs/cgroup/memory"), "memory.oom_control"
        elif not controllers:
            folders, name = (f"/sys/fs/cgroup{path}", "/sys/fs/cgroup"), "memory.events"
        else:
            continue
        # In a container the path may be that of the host, while its own group is mounted at the top.
        for folder in folders:
            if os.path.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
    return ""


def _count(path: str) -> int:
    try:
        with open(path, "rb") as file:
            found = _COUNT.search(file.read())
    except OSError:
        return 0
    return int(found.group(1)) if found else 0
