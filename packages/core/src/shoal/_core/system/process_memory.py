"""How much memory processes use, from /proc.

`read_memory` is cheap enough to sample every 100 ms: it counts pages as resident wherever they are mapped, so pages
that a forked worker still shares with its fork server count for both. `read_exact_memory` divides shared pages among
those who map them; the kernel walks all pages for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from shoal._core.system.children import descendants_of

_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessMemory(NamedTuple):
    """Memory of a process, in bytes."""

    anonymous: int
    """Heap and stacks that are resident: not files, not shared memory such as the object store."""
    resident: int


class ExactMemory(NamedTuple):
    """Proportional memory of a process, in bytes: a page that n processes map counts 1/n."""

    total: int
    anonymous: int
    private: int
    """Pages that nobody else maps: what would be freed by its end."""


def read_memory(pid: int) -> ProcessMemory | None:
    """Returns what the process uses now; None where it is gone."""
    data = _read(f"/proc/{pid}/statm")
    if data is None:
        return None
    _, resident, files_and_shared, _ = data.split(None, 3)
    return ProcessMemory((int(resident) - int(files_and_shared)) * _PAGE, int(resident) * _PAGE)


def read_tree_memory(pid: int) -> ProcessMemory | None:
    """Returns what the process and all its descendants use now, summed; None where the process is gone."""
    root = read_memory(pid)
    if root is None:
        return None
    anonymous, resident = root
    for child in descendants_of(pid):
        memory = read_memory(child)
        if memory is not None:
            anonymous += memory.anonymous
            resident += memory.resident
    return ProcessMemory(anonymous, resident)


def read_peak_memory(pid: int) -> int | None:
    """Returns the most that was ever resident in the process, in bytes, shared pages included; None where it is
    gone."""
    return _kibibytes(_read(f"/proc/{pid}/status"), (b"VmHWM:",)).get(b"VmHWM:")


def read_exact_memory(pid: int) -> ExactMemory | None:
    """Returns the proportional memory of the process; None where it is gone or another user's.

    Takes about a millisecond per 100 MiB that the process maps.
    """
    names = (b"Pss:", b"Pss_Anon:", b"Private_Clean:", b"Private_Dirty:")
    try:
        found = _kibibytes(_read(f"/proc/{pid}/smaps_rollup"), names)
    except PermissionError:
        return None
    if len(found) != len(names):
        return None
    total, anonymous, clean, dirty = (found[name] for name in names)
    return ExactMemory(total, anonymous, clean + dirty)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(8192)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kibibytes(text: bytes | None, names: Iterable[bytes]) -> dict[bytes, int]:
    """Returns the values, in bytes, of the lines 'name value kB' that are there."""
    found: dict[bytes, int] = {}
    for line in (text or b"").splitlines():
        name, _, value = line.partition(b"\t" if b"\t" in line else b" ")
        if name in names:
            found[name] = int(value.split()[0]) * 1024
    return found
