"""The page that Prometheus reads: gathered when it is asked for, from the controller, its replicas and this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import shoal
from shoal.serve._internal.logic.metric_text import Sample, prometheus_text
from shoal.util import metrics as application_metrics

SLOWEST_REPLICA = 2.0
"""Seconds; who has not answered by then is left out."""
SLOWEST_CONTROLLER = 4.0


async def of_actors(actors: Sequence[Any]) -> list[Sample]:
    """Returns the samples of actors that have a method `metrics`. Those that are dying, or too slow, are left out."""

    async def of(actor: Any) -> list[Sample]:
        with contextlib.suppress(TimeoutError, shoal.exceptions.ShoalError):
            async with asyncio.timeout(SLOWEST_REPLICA):
                found: list[Sample] = await actor.metrics.remote()
                return found
        return []

    return [sample for samples in await asyncio.gather(*map(of, actors)) for sample in samples]


async def page(controller: Any, own: list[Sample]) -> str:
    """Returns the page: this process's samples, those of the controller and the replicas, and what applications record themselves."""
    samples = list(own)
    with contextlib.suppress(TimeoutError, shoal.exceptions.ShoalError):
        async with asyncio.timeout(SLOWEST_CONTROLLER):
            samples += await controller.metrics.remote()
    return prometheus_text(samples) + await asyncio.to_thread(application_metrics.prometheus_text)
