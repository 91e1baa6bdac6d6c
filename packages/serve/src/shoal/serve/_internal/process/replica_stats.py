"""What methods of the user's say of a replica, for routers and policies of the user's: asked for again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from shoal.serve._internal.process.actor_errors import is_death, told
from shoal.serve.config import DeploymentConfig, RequestRouterConfig

logger = logging.getLogger("shoal.serve")

AUTOSCALING_TIMEOUT_S = 10.0
IDLE_S = 10.0
"""Seconds until a method for autoscaling is asked again, while nothing is scaled."""


class Pace(NamedTuple):
    """How often a method is called.

    Attributes:
        period_s: seconds between two calls.
        timeout_s: seconds that one may take.
    """

    period_s: float
    timeout_s: float


class StatsMethod(NamedTuple):
    """A method that a class may have.

    Attributes:
        name: of the method.
        pace: of a deployment with these options.
        checked: what it returned, as it is told. Raises where it cannot be.
    """

    name: str
    pace: Callable[[DeploymentConfig], Pace]
    checked: Callable[[Any], dict[str, Any]]


def _pace_of_routing(config: DeploymentConfig) -> Pace:
    routing = config.request_router_config or RequestRouterConfig()
    return Pace(routing.request_routing_stats_period_s, routing.request_routing_stats_timeout_s)


def _pace_of_autoscaling(config: DeploymentConfig) -> Pace:
    scaling = config.autoscaling_config
    return Pace(scaling.metrics_interval_s if scaling is not None else IDLE_S, AUTOSCALING_TIMEOUT_S)


def _numbers(stats: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(one) for name, one in stats.items()}


ROUTING = StatsMethod("record_routing_stats", _pace_of_routing, dict)
AUTOSCALING = StatsMethod("record_autoscaling_stats", _pace_of_autoscaling, _numbers)


async def ask_for(
    method: StatsMethod,
    replica_id: str,
    actor: Any,
    config_now: Callable[[], DeploymentConfig | None],
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Tells what a method says of its replica, until the replica is gone; ends at once where the class has no such method.

    Args:
        method: which.
        replica_id: whose.
        actor: the replica's.
        config_now: the deployment's options, which may change; None where the replica is gone.
        tell: takes what the method said.
    """
    said = ""
    while (config := config_now()) is not None:
        pace = method.pace(config)
        why = ""
        try:
            async with asyncio.timeout(pace.timeout_s):
                stats = await actor.stats.remote(method.name)
            if stats is None:
                return
            checked = method.checked(stats)
            if config_now() is not None:
                tell(checked)
        except TimeoutError:
            why = f"has not answered within {pace.timeout_s:g} s"
        except Exception as error:
            if is_death(error):
                return
            why = f"failed: {told(error)}"
        if why and why != said:
            logger.warning("%s of %s %s", method.name, replica_id, why)
        said = why
        await asyncio.sleep(pace.period_s)
