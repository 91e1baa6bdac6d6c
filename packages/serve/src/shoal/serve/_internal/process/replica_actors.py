"""The actors of replicas: started, watched, given new options, ended. What becomes of each is told as an event of its deployment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import shoal
from shoal import cloudpickle
from shoal.experimental import internal_kv
from shoal.serve._internal.logic.deployment_state import (
    DeploymentState,
    ReconfigureReplica,
    StartReplica,
    StopReplica,
)
from shoal.serve._internal.logic.room import fits, resources_of
from shoal.serve._internal.process.actor_death import is_death
from shoal.serve._internal.process.background_tasks import BackgroundTasks
from shoal.serve._internal.process.controller_link import NAMESPACE
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.process.replica_placement import ReplicaPlacement
from shoal.serve._internal.process.watched_values import WatchedValues
from shoal.serve._internal.schema.deployments import DeploymentId, ReplicaRecord
from shoal.serve.config import DeploymentConfig, RequestRouterConfig

logger = logging.getLogger("shoal.serve")

PREFIX = "SERVE_REPLICA::"
ROUTING_STATS, AUTOSCALING_STATS = "record_routing_stats", "record_autoscaling_stats"
"""Methods that a class may have."""
STATS_TIMEOUT_S = 10.0
IDLE_S = 10.0
"""Seconds until such a method is looked at again, while nothing is scaled."""
"""Of their names, and of the keys under which their records lie."""


class Tell(Protocol):
    """Takes an event of a deployment: the name of a method of `DeploymentState`, and its arguments but the time."""

    def __call__(self, deployment: DeploymentId, name: str, *arguments: Any) -> None: ...


class ReplicaActors:
    """Those of all deployments.

    Args:
        deployments: what is known of each.
        values: what routers listen to.
        tell: takes what becomes of them.
        concurrency: calls that each works on at a time.
        tasks: for those that nobody waits for.
    """

    def __init__(
        self,
        deployments: Mapping[DeploymentId, DeploymentState],
        values: WatchedValues,
        tell: Tell,
        concurrency: int,
        tasks: BackgroundTasks,
    ) -> None:
        self.started: Counter[DeploymentId] = Counter()
        """How many there ever were."""
        self._deployments = deployments
        self._values = values
        self._tell = tell
        self._concurrency = concurrency
        self._tasks = tasks
        self._actors: dict[str, Any] = {}
        self._placement = ReplicaPlacement(PREFIX)

    def all(self) -> dict[str, Any]:
        """Returns the actors that there are, by the ids of their replicas."""
        return dict(self._actors)

    def __contains__(self, replica_id: str) -> bool:
        return replica_id in self._actors

    async def start(self, deployment: DeploymentId, start: StartReplica) -> None:
        """Starts a replica, and watches it."""
        replica_id, config = start.replica_id, start.spec.config
        options = {"num_cpus": 1, **config.ray_actor_options}
        if not fits(resources_of(config), shoal.available_resources()):
            self._tell(deployment, "has_no_room", replica_id)
        try:
            resources = await self._placement.reserved(replica_id, config)
            actor = (
                shoal.remote(Replica)
                .options(
                    name=f"{PREFIX}{replica_id}",
                    namespace=NAMESPACE,
                    lifetime="detached",
                    max_concurrency=self._concurrency,
                    **options,
                    **resources,
                )
                .remote(start.spec, replica_id, start.rank)
            )
            self._actors[replica_id] = actor
            place = await actor.start.remote()
        except Exception as error:
            self._drop(replica_id)
            self._tell(deployment, "failed_to_start", replica_id, _told(error))
            return
        self.started[deployment] += 1
        self._tell(deployment, "started", replica_id, actor, place)
        self._record(deployment, replica_id)
        self._watch(deployment, replica_id, actor)

    async def reconfigure(self, deployment: DeploymentId, effect: ReconfigureReplica) -> None:
        """Gives a replica options that need no new one."""
        actor = self._actors.get(effect.replica_id)
        if actor is None:
            return
        why = ""
        try:
            await actor.reconfigure.remote(effect.spec)
        except Exception as error:
            if is_death(error):
                return  # It is told apart.
            why = f"reconfigure raised {_told(error)}"
        if not why:
            self._record(deployment, effect.replica_id)
        self._tell(deployment, "reconfigured", effect.replica_id, why)

    async def stop(self, deployment: DeploymentId, stop: StopReplica) -> None:
        """Ends a replica once its requests are over, or its time is."""
        actor = self._actors.get(stop.replica_id)
        if actor is not None and stop.wait_s > 0:
            self._record(deployment, stop.replica_id)
            await self._values.seen_by_all(deployment.key)
            # Where that takes too long, or fails, what it still had is answered by its death.
            with contextlib.suppress(TimeoutError, shoal.exceptions.ShoalError):
                async with asyncio.timeout(stop.wait_s):
                    await actor.drain.remote()
                    self._forget(stop.replica_id)
                    await actor.__ray_terminate__.remote()
        self._drop(stop.replica_id)
        self._tell(deployment, "stopped", stop.replica_id)

    def find(self) -> dict[str, ReplicaRecord]:
        """Takes those over that ran under the controller before this one. Nobody is asked: a constructor may keep a replica from answering
        for minutes. Returns their records; `watch` has to follow for those that are to go on."""
        found = {}
        everywhere: Any = shoal.util.list_named_actors(all_namespaces=True)
        for named in everywhere:
            name = named["name"]
            if named["namespace"] != NAMESPACE or not name.startswith(PREFIX):
                continue
            actor = shoal.get_actor(name, namespace=NAMESPACE)
            replica_id = name.removeprefix(PREFIX)
            record = internal_kv._internal_kv_get(name, namespace=NAMESPACE)
            if record is None:
                # It had not begun to serve; another one will be started.
                shoal.kill(actor)
                continue
            self._actors[replica_id] = actor
            found[replica_id] = cloudpickle.loads(record)
        self._placement.take_over(frozenset(found))
        return found

    def watch(self, deployment: DeploymentId, replica_id: str) -> None:
        """Tells from now on what becomes of one that was found, where it is still there."""
        actor = self._actors.get(replica_id)
        if actor is not None:
            self._watch(deployment, replica_id, actor)

    def _watch(self, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        self._tasks.start(self._until_it_dies(deployment, replica_id, actor))
        self._tasks.start(self._check_health(deployment, replica_id, actor))
        self._tasks.start(self._ask_for(ROUTING_STATS, "told_routers", deployment, replica_id, actor))
        self._tasks.start(self._ask_for(AUTOSCALING_STATS, "told_policy", deployment, replica_id, actor))

    async def _until_it_dies(self, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        try:
            await actor.until_it_ends.remote()
        except shoal.exceptions.ShoalError as error:
            self._placement.release(replica_id)
            if self._forget(replica_id) is not None:
                self._tell(deployment, "died", replica_id, str(error))

    async def _check_health(self, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        while (config := self._config_of(deployment, replica_id)) is not None:
            await asyncio.sleep(config.health_check_period_s)
            why, answers = "", True
            try:
                async with asyncio.timeout(config.health_check_timeout_s):
                    await actor.check_health.remote()
            except TimeoutError:
                why, answers = f"no answer within {config.health_check_timeout_s:g} s", False
            except Exception as error:
                why = _told(error)
            if replica_id in self._actors:
                self._tell(deployment, "checked", replica_id, why, answers)

    async def _ask_for(self, method: str, event: str, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        """Tells what a method of the user's says of its replica, again and again; ends where there is no such method."""
        said = ""
        while (config := self._config_of(deployment, replica_id)) is not None:
            scaling, routing = config.autoscaling_config, config.request_router_config or RequestRouterConfig()
            if method == ROUTING_STATS:
                period, timeout = routing.request_routing_stats_period_s, routing.request_routing_stats_timeout_s
            else:
                period, timeout = scaling.metrics_interval_s if scaling is not None else IDLE_S, STATS_TIMEOUT_S
            why = ""
            try:
                async with asyncio.timeout(timeout):
                    stats = await actor.stats.remote(method)
                if stats is None:
                    return
                told = dict(stats) if method == ROUTING_STATS else {name: float(one) for name, one in stats.items()}
                if replica_id in self._actors:
                    self._tell(deployment, event, replica_id, told)
            except TimeoutError:
                why = f"has not answered within {timeout:g} s"
            except Exception as error:
                if is_death(error):
                    return
                why = f"failed: {_told(error)}"
            if why and why != said:
                logger.warning("%s of %s %s", method, replica_id, why)
            said = why
            await asyncio.sleep(period)

    def _config_of(self, deployment: DeploymentId, replica_id: str) -> DeploymentConfig | None:
        """Returns the options of a replica, which may change; None where it is gone."""
        state = self._deployments.get(deployment)
        return state.config_of(replica_id) if state is not None and replica_id in self._actors else None

    def _drop(self, replica_id: str) -> None:
        actor = self._forget(replica_id)
        if actor is not None:
            shoal.kill(actor)
        self._placement.release(replica_id)

    def _forget(self, replica_id: str) -> Any:
        """A replica ends. Returns its actor; None where it has ended. Nobody waits for it to hear of changes."""
        actor = self._actors.pop(replica_id, None)
        self._values.gone(replica_id)
        internal_kv._internal_kv_del(f"{PREFIX}{replica_id}", namespace=NAMESPACE)
        return actor

    def _record(self, deployment: DeploymentId, replica_id: str) -> None:
        state = self._deployments.get(deployment)
        record = state.record_of(replica_id) if state is not None else None
        if record is not None:
            internal_kv._internal_kv_put(f"{PREFIX}{replica_id}", cloudpickle.dumps(record), namespace=NAMESPACE)


def _told(error: Exception) -> str:
    """Returns what was raised, and then where."""
    cause = error.cause if isinstance(error, shoal.exceptions.TaskError) else None
    return f"{type(error).__name__}: {error}" if cause is None else f"{type(cause).__name__}: {cause}\n{error}"
