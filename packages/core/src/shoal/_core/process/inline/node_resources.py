"""What the one node of an inline session has."""

from __future__ import annotations

import os

from shoal._core.schema.resources import (
    CPU,
    GPU,
    HEAD_NODE,
    MEMORY,
    OBJECT_STORE_MEMORY,
    ResourceSet,
    node_resource,
)
from shoal._core.schema.session_request import SessionRequest

MEMORY_SHARE = 0.7
STORE_SHARE = 0.3


def node_resources(request: SessionRequest, node_ip: str) -> ResourceSet:
    """Returns the resources that `init` asked for; by default the CPUs that this process may use, and shares of the memory.

    GPUs are counted only if they are asked for: code that uses them shares this process's.
    """
    machine_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ResourceSet.parse(
        {
            CPU: request.num_cpus if request.num_cpus is not None else len(os.sched_getaffinity(0)),
            GPU: request.num_gpus or 0,
            MEMORY: request.memory if request.memory is not None else int(machine_memory * MEMORY_SHARE),
            OBJECT_STORE_MEMORY: request.object_store_memory
            if request.object_store_memory is not None
            else int(machine_memory * STORE_SHARE),
            node_resource(node_ip): 1,
            HEAD_NODE: 1,
            **request.resources,
        }
    )
