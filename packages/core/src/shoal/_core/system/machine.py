"""What this machine has, as far as this process may use it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from shoal._core.system.cgroups import read_limits
from shoal._core.system.gpus import Gpu, accelerator_type, find_gpus

LOOPBACK = "127.0.0.1"
_BEYOND_THE_ROUTER = ("192.0.2.1", 9)
"""An address that is kept for documentation: nobody has it, but there is a route to it."""


class Machine(NamedTuple):
    """A machine, or the part of it that a container gives us."""

    hostname: str
    node_ip: str
    """The address by which other machines reach this one; 127.0.0.1 where there is no network."""
    cpus: int
    """CPUs that may be used: of the machine, of this process's affinity and cpuset, within its quota."""
    memory: int
    """Bytes that all processes together may use."""
    available_memory: int
    """Bytes of it that are free, or can be freed at once."""
    gpus: tuple[Gpu, ...]

    @property
    def gpu_ids(self) -> tuple[int, ...]:
        """The machine's numbers of its GPUs."""
        return tuple(gpu.number for gpu in self.gpus)

    @property
    def accelerator_type(self) -> str:
        """Kind of its GPUs, or of the first one; '' where there is none, or it cannot be told."""
        return accelerator_type(self.gpus[0].model) if self.gpus else ""


class MemoryUse(NamedTuple):
    """What of the memory that this process may use is in use, by whomever."""

    used: int
    """Bytes."""
    total: int
    """Bytes."""


def memory_use(root: str = "/") -> MemoryUse:
    """Returns the use of the machine, or of the control group that has the least left.

    Args:
        root: folder in which 'proc' and 'sys' are.
    """
    limits = read_limits(root)
    total, available = _physical_memory(root)
    if limits.memory is not None and limits.available_memory is not None and limits.available_memory < available:
        return MemoryUse(limits.memory - limits.available_memory, limits.memory)
    return MemoryUse(total - available, total)


def detect(root: str = "/", environ: Mapping[str, str] = os.environ, affinity: int | None = None) -> Machine:
    """Returns what this machine has. Takes a fraction of a millisecond.

    Args:
        root: folder in which 'proc', 'sys' and 'dev' are.
        environ: environment variables.
        affinity: number of CPUs that this process may run on; None to ask the kernel.
    """
    limits = read_limits(root)
    total, available = _physical_memory(root)
    cpus = affinity or len(os.sched_getaffinity(0))
    if limits.cpuset:
        cpus = min(cpus, limits.cpuset)
    if limits.cpus is not None:
        cpus = min(cpus, max(1, int(limits.cpus + 0.5)))
    return Machine(
        hostname=os.uname().nodename,
        node_ip=find_node_ip(),
        cpus=cpus,
        memory=total if limits.memory is None else min(total, limits.memory),
        available_memory=available if limits.available_memory is None else min(available, limits.available_memory),
        gpus=find_gpus(root, environ),
    )


def find_node_ip() -> str:
    """Returns the address of the network interface that leads to other machines; 127.0.0.1 where there is none."""
    # Connecting a datagram socket sends nothing; it looks up the route.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_BEYOND_THE_ROUTER)
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


def _physical_memory(root: str) -> tuple[int, int]:
    """Returns the machine's memory and what of it is available, in bytes."""
    facts: dict[bytes, int] = {}
    with open(f"{root}/proc/meminfo", "rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            facts[name] = int(value.split()[0]) * 1024
            if name == b"MemAvailable":
                break
    total = facts[b"MemTotal"]
    # Kernels before 3.14, and some sandboxes, do not estimate what is available.
    return total, facts.get(b"MemAvailable", facts.get(b"MemFree", total))
