"""How many calls run at once, and with which share of the CPUs each."""

from __future__ import annotations

from typing import Any

import shoal


def session_cpus() -> int:
    """Returns the CPUs of the session, at least 1; starts a session where there is none."""
    if not shoal.is_initialized():
        shoal.init()
    return max(1, int(shoal.cluster_resources().get("CPU", 1)))


def cpu_options(count: int) -> dict[str, Any]:
    """Returns the resources of each of `count` calls at once: one CPU, or a share where there are more calls than CPUs."""
    cpus = session_cpus()
    return {"num_cpus": 1 if count <= cpus else int(10_000 * cpus / count) / 10_000}
