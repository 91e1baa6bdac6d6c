"""The limits that control groups set to this process: v1, v2 and both at once, in containers and outside."""

from __future__ import annotations

import os
from typing import NamedTuple


class CgroupLimits(NamedTuple):
    """What the control groups of this process allow it; None where they set no limit."""

    cpus: float | None
    """Quota of CPU time, in CPUs."""
    cpuset: int | None
    """Number of CPUs that it may run on."""
    memory: int | None
    """Bytes."""
    available_memory: int | None
    """Bytes that are not in use yet; file pages that can be dropped count as available."""


class Hierarchy(NamedTuple):
    """One mounted tree of control groups, and where this process is in it."""

    version: int
    controllers: tuple[str, ...]
    """Of v1; v2 says in its files which ones it has."""
    mount: str
    """Where the tree, or the part of it that can be seen from here, is mounted."""
    folder: str
    """The group of this process; `mount`, or below it."""

    def controls(self, controller: str) -> bool:
        """Returns whether limits of this kind ('cpu', 'cpuset', 'memory') are set here, or may be."""
        return self.version == 2 or controller in self.controllers

    def groups(self) -> list[str]:
        """Returns the folders of the group of this process and of those that it is in, innermost first."""
        found = [self.folder]
        while len(found[-1]) > len(self.mount):
            found.append(os.path.dirname(found[-1]))
        return found


def read_limits(root: str = "/") -> CgroupLimits:
    """Returns the limits of this process's control groups. Where there are none, all are None.

    Args:
        root: folder in which 'proc' and 'sys' are.
    """
    cpus: list[float] = []
    cpusets: list[int] = []
    memory: list[int] = []
    available: list[int] = []
    for hierarchy in hierarchies(root):
        names = _V2 if hierarchy.version == 2 else _V1
        if hierarchy.controls("cpuset"):
            cpusets += _cpuset(hierarchy.folder, names)
        for group in hierarchy.groups():
            if hierarchy.controls("cpu"):
                cpus += _quota(group, hierarchy.version)
            limit = _number(f"{group}/{names.memory_limit}") if hierarchy.controls("memory") else None
            if limit is not None and limit < _NO_LIMIT:
                memory.append(limit)
                available.append(max(0, limit - _memory_in_use(group, names)))
    return CgroupLimits(
        min(cpus, default=None), min(cpusets, default=None), min(memory, default=None), min(available, default=None)
    )


def hierarchies(root: str = "/") -> list[Hierarchy]:
    """Returns the trees that this process is in and that are mounted where it can see them."""
    places = _places(root)
    found = []
    for line in _read(f"{root}/proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        _, _, _, mounted_part, mount = fields.split(" ", 5)[:5]
        version = 2 if kind == "cgroup2" else 1
        controllers = () if version == 2 else _controllers_of(options, places)
        key = controllers[0] if controllers else ""
        if version == 1 and not controllers:
            continue
        if key in places:
            mount = os.path.join(root, _unescaped(mount).lstrip("/"))
            inside = _relative(places[key], _unescaped(mounted_part))
            found.append(Hierarchy(version, controllers, mount, mount + inside))
    return found


class _Names(NamedTuple):
    memory_limit: str
    memory_use: str
    droppable: tuple[str, ...]
    """Pages of files: the kernel drops them, or writes them out, before it kills anything."""
    cpusets: tuple[str, ...]


_LIMITING = ("cpu", "cpuset", "memory")
_V1 = _Names(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
    ("cpuset.effective_cpus", "cpuset.cpus"),
)
_V2 = _Names("memory.max", "memory.current", ("inactive_file", "active_file"), ("cpuset.cpus.effective",))
_NO_LIMIT = 1 << 60
"""v1 writes 'no limit' as a number near 2**63."""


def _places(root: str) -> dict[str, str]:
    """Returns the group of this process by controller; '' is v2."""
    places: dict[str, str] = {}
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        for controller in controllers.split(",") if number != "0" else [""]:
            places[controller] = place
    return places


def _controllers_of(options: str, places: dict[str, str]) -> tuple[str, ...]:
    """The last field of a v1 mount names its controllers, among other options."""
    return tuple(option for option in options.rsplit(" ", 1)[-1].split(",") if option in _LIMITING and option in places)


def _relative(place: str, mounted_part: str) -> str:
    """A container sees a part of the host's tree as a whole one, but may be told its place in the host's."""
    if mounted_part == "/":
        return place.rstrip("/")
    if place == mounted_part or place.startswith(f"{mounted_part}/"):
        return place[len(mounted_part) :].rstrip("/")
    return ""


def _unescaped(path: str) -> str:
    if "\\" not in path:
        return path
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _quota(group: str, version: int) -> list[float]:
    if version == 2:
        quota, _, period = _read(f"{group}/cpu.max").partition(" ")
        values = None if quota in ("", "max") else (int(quota), int(period))
    else:
        limit, length = _number(f"{group}/cpu.cfs_quota_us"), _number(f"{group}/cpu.cfs_period_us")
        values = None if limit is None or length is None or limit <= 0 else (limit, length)
    return [] if values is None or values[1] <= 0 else [values[0] / values[1]]


def _cpuset(group: str, names: _Names) -> list[int]:
    for name in names.cpusets:
        text = _read(f"{group}/{name}").strip()
        if text:
            return [sum(map(_span, text.split(",")))]
    return []


def _span(text: str) -> int:
    """'0-3' are 4 CPUs, '7' is one."""
    first, _, last = text.partition("-")
    return int(last or first) - int(first) + 1


def _memory_in_use(group: str, names: _Names) -> int:
    used = _number(f"{group}/{names.memory_use}") or 0
    for line in _read(f"{group}/memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in names.droppable:
            used -= int(value)
    return max(0, used)


def _number(path: str) -> int | None:
    """Returns the number in the file; None for 'max', and where there is no such file."""
    text = _read(path).strip()
    return None if text in ("", "max") else int(text)


def _read(path: str) -> str:
    """Returns '' where there is no such file, or it may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall().decode("utf-8", "surrogateescape")
    except OSError:
        return ""
