"""Looks at a process and all that descend from it, through /proc."""

from __future__ import annotations

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Process ids of `root` and its descendants, root first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            parent = _parent(int(entry))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def proportional_memory(root: int) -> int:
    """Proportional set size (PSS) of the whole tree in bytes: pages that n processes share count 1/n for each."""
    total = 0
    for pid in tree(root):
        for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def processor_time(root: int) -> float:
    """Seconds that all threads of the tree have run on a processor so far, to the nanosecond."""
    total = 0
    for pid in tree(root):
        for thread in _entries(PROC / str(pid) / "task"):
            fields = _read(PROC / str(pid) / "task" / thread / "schedstat").split()
            total += int(fields[0]) if fields else 0
    return total / 1e9


def kill_tree(root: int) -> None:
    """Ends the tree with SIGKILL, whatever it is doing."""
    for pid in tree(root):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _parent(pid: int) -> int | None:
    stat = _read(PROC / str(pid) / "stat")
    # The command's name, in parentheses, may contain anything; the parent is the second field behind it.
    return int(stat.rpartition(")")[2].split()[1]) if stat else None


def _read(path: Path) -> str:
    """The text of a file, or nothing where its process has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _entries(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
