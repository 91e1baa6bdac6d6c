"""Resources that replicas need, and whether those of a new version fit beside what the version before has left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shoal.serve.config import DeploymentConfig


def actor_options(config: DeploymentConfig) -> dict[str, Any]:
    """Returns the options of each replica's actor, with what it needs where nothing is said."""
    return {"num_cpus": 1, **config.ray_actor_options}


def resources_of(config: DeploymentConfig) -> Counter[str]:
    """Returns what one replica needs, by the names that the session has for it; not its memory."""
    asked: Counter[str] = Counter()
    for bundle in config.placement_group_bundles or ():
        asked.update(bundle)
    if config.placement_group_bundles is None:
        options = actor_options(config)
        asked.update({"CPU": options.get("num_cpus") or 0, "GPU": options.get("num_gpus") or 0})
        asked.update(options.get("resources") or {})
    return asked


def fits(asked: Mapping[str, float], free: Mapping[str, float]) -> bool:
    """Returns whether so much is free."""
    return all(amount <= free.get(name, 0.0) + 1e-9 for name, amount in asked.items())


def has_to_give_way(
    left: Iterable[DeploymentConfig],
    to_start: Iterable[DeploymentConfig],
    ending: Iterable[DeploymentConfig],
    free: Mapping[str, float],
) -> bool:
    """Returns whether replicas that a new version leaves out keep it from starting.

    Args:
        left: the options of each of these replicas.
        to_start: of those that are to start, and take nobody's place.
        ending: of those that end in any case.
        free: resources that nobody has.
    """
    asked, soon = _sum(to_start), _sum(ending)
    soon.update(free)
    if fits(asked, soon):
        return False
    soon.update(_sum(left))
    return fits(asked, soon)


def _sum(configs: Iterable[DeploymentConfig]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in configs:
        total.update(resources_of(one))
    return total
