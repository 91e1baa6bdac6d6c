"""What the figures were measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores, {memory()} of memory, {platform.system()} {platform.release()}"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def load() -> str:
    """How busy it is otherwise: the load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"
