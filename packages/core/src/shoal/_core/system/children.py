"""Other processes of this machine: whose child they are, when they end, and ending them with all that they started.

Pids are used again by the kernel, so whatever is signalled is first held by a pidfd and then looked at once more. What
a tree's processes start while the tree is being killed is not lost either: it becomes a child of the nearest subreaper,
which kills what it did not start itself (`kill_adopted`).
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Collection
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class OwnChildren:
    """The children that a process started on purpose; any other child of a subreaper is an orphan that it adopted."""

    __slots__ = ("_pids",)

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def add(self, pid: int) -> None:
        self._pids.add(pid)

    def discard(self, pid: int) -> None:
        self._pids.discard(pid)

    def __contains__(self, pid: int) -> bool:
        return pid in self._pids


def own_children() -> OwnChildren:
    """Returns the account of this process's own children: one for all, since they share the orphans too.

    Whoever starts a process by other means than a fork server, in a process that has fork servers, adds it here, or it
    is taken for an orphan and killed when a fork server ends.
    """
    return _own_children_of(os.getpid())


@functools.cache
def _own_children_of(pid: int) -> OwnChildren:
    return OwnChildren()


def watch_pid(pid: int) -> int:
    """Returns a descriptor that becomes readable when the process ends; the caller closes it.

    Raises ProcessLookupError where there is no such process.
    """
    return os.pidfd_open(pid)


def parent_of(pid: int) -> int:
    """Returns the parent's pid; 0 where the process is gone, or belongs to the kernel."""
    return _parent_and_start(pid)[0]


def _parent_and_start(pid: int) -> tuple[int, int]:
    """Returns the parent's pid and when the process began (ticks since boot), which together with its pid is unique;
    zeros where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(2048)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    # The second field is the command in parentheses and may hold anything, spaces and parentheses too.
    fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
    return int(fields[1]), int(fields[19])


def children_of(pid: int) -> list[int]:
    """Returns the pids of the process's direct children, zombies included; empty where it is gone."""
    if not _kernel_lists_children():
        return _children_by_scan(pid)
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found.extend(map(int, file.readall().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # The thread ended meanwhile.
    return found


@functools.cache
def _kernel_lists_children() -> bool:
    return os.path.exists("/proc/thread-self/children")


def _children_by_scan(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(int(name)) == pid]


def descendants_of(pid: int) -> list[int]:
    """Returns the pids of children, their children and so on, parents first."""
    found = children_of(pid)
    for child in found:
        found.extend(children_of(child))
    return found


@contextmanager
def _held(pid: int, parent: int = 0, start: int = 0) -> Iterator[int | None]:
    """Gives a pidfd of the process if it is the child of `parent` and began at `start` (0: either may be anything),
    else None."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        wanted = not (parent or start)
        if not wanted:
            its_parent, its_start = _parent_and_start(pid)
            wanted = parent in (0, its_parent) and start in (0, its_start)
        yield pidfd if wanted else None
    finally:
        os.close(pidfd)


def _send(pidfd: int, signal_number: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signal_number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It became another user (sudo, a setuid program): not ours to end any more.
        return False
    return True


def send_signal(pid: int, signal_number: int, parent: int = 0) -> bool:
    """Sends a signal to one process.

    Args:
        pid: the process.
        signal_number: the signal.
        parent: pid of the process whose child it must be, which protects whoever gets the pid next; 0 for no such
            check.

    Returns:
        Whether it was sent: False where the process is gone, is another one now, or belongs to another user now.
    """
    with _held(pid, parent) as pidfd:
        return pidfd is not None and _send(pidfd, signal_number)


def kill_group(pid: int, signal_number: int = signal.SIGKILL, parent: int = 0) -> bool:
    """Sends a signal to the process group that `pid` leads. Arguments and result as for `send_signal`."""
    with _held(pid, parent) as pidfd:
        return pidfd is not None and _send_to_group(pid, signal_number)


def _send_to_group(pid: int, signal_number: int) -> bool:
    try:
        if os.getpgid(pid) != pid:
            return False
        os.killpg(pid, signal_number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_tree(pid: int, parent: int = 0) -> list[int]:
    """Kills (SIGKILL) the process, the process group that it leads and all its descendants, also those in sessions of
    their own.

    Args:
        pid: the root of the tree; a subreaper, so that orphans among its descendants are still its descendants.
        parent: pid of the process whose child it must be, which protects whoever gets the pid next; 0 for no such
            check.

    Returns:
        Pids that were sent the signal, the root first; empty where the root is gone.
    """
    with _held(pid, parent) as root:
        if root is None:
            return []
        branches = [(child, _parent_and_start(child)[1]) for child in descendants_of(pid)]
        by_group = _send_to_group(pid, signal.SIGKILL)
        # One that its group's signal has killed may have been waited for by its parent before it is sent another.
        killed = [pid] if _send(root, signal.SIGKILL) or by_group else []
    # Parents first, so that none can start another child for the one that it lost.
    for child, start in branches:
        with _held(child, start=start) as pidfd:
            if start and pidfd is not None and _send(pidfd, signal.SIGKILL):
                killed.append(child)
    return killed


def kill_adopted(own: Collection[int] | OwnChildren) -> list[int]:
    """Kills all children of this process (a subreaper) that are not in `own`, with their trees.

    Returns:
        Pids of the adopted children, for the caller to wait for.
    """
    me = os.getpid()
    adopted = [child for child in children_of(me) if child not in own]
    for child in adopted:
        kill_tree(child, parent=me)
    return adopted
