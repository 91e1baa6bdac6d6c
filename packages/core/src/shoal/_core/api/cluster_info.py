"""What the session has: machines, resources, and what happened when."""

from __future__ import annotations

import os
from typing import Any

from shoal._core.api.runtime import SESSION


def cluster_resources() -> dict[str, float]:
    """Returns all that the session's machines have: 'CPU', 'GPU', 'memory' (bytes), 'object_store_memory' (bytes), 'node:<ip>',
    'node:__internal_head__', and custom resources.

    Example:
        >>> import shoal
        >>> _ = shoal.init(num_cpus=3, resources={"camera": 1})
        >>> shoal.cluster_resources()["camera"]
        1.0
        >>> shoal.shutdown()
    """
    return SESSION.require().total_resources()


def available_resources() -> dict[str, float]:
    """Returns what of `cluster_resources` is free at the moment. What is used up is not in it.

    Example:
        >>> import shoal
        >>> _ = shoal.init(num_cpus=3)
        >>> shoal.available_resources()["CPU"]
        3.0
        >>> shoal.shutdown()
    """
    return {name: amount for name, amount in SESSION.require().available_resources().items() if amount > 0}


def nodes() -> list[dict[str, Any]]:
    """Returns a record for each machine, dead ones too: 'NodeID', 'Alive', 'Resources', 'Labels', 'NodeManagerAddress',
    'NodeManagerHostname', 'NodeName', ...

    Example:
        >>> import shoal
        >>> [node["Alive"] for node in shoal.nodes()]
        [True]
        >>> shoal.shutdown()
    """
    return SESSION.require().nodes()


def timeline(filename: str | os.PathLike[str] | None = None) -> list[dict[str, Any]] | None:
    """Returns what ran where and when, as events for chrome://tracing or ui.perfetto.dev.

    Args:
        filename: file to write them to, as JSON; then nothing is returned.
    """
    events = SESSION.require().timeline()
    if filename is None:
        return events
    import json

    with open(filename, "w", encoding="utf-8") as file:
        json.dump(events, file)
    return None


def get_gpu_ids() -> list[int] | list[str]:
    """Returns the GPUs that the calling task or actor has: numbers, or what CUDA_VISIBLE_DEVICES calls them.

    In the driver: the GPUs that it can see.
    """
    context = SESSION.require().context()
    if not context.is_driver:
        return list(context.gpu_ids)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip() and name.strip() != "NoDevFiles"]
    return [int(name) for name in names] if all(name.isdigit() for name in names) else names
