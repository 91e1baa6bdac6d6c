"""The actors of replicas: started, watched, given new options, ended. What becomes of each is told as an event of its deployment."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
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
from shoal.serve._internal.logic.room import actor_options, fits, resources_of
from shoal.serve._internal.process.actor_errors import is_death, told
from shoal.serve._internal.process.background_tasks import BackgroundTasks
from shoal.serve._internal.process.controller_link import NAMESPACE
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.process.replica_placement import ReplicaPlacement
from shoal.serve._internal.process.replica_stats import AUTOSCALING, ROUTING, ask_for
from shoal.serve._internal.process.watched_values import WatchedValues
from shoal.serve._internal.schema.deployments import DeploymentId, ReplicaRecord
from shoal.serve.config import DeploymentConfig

PREFIX = "SERVE_REPLICA::"
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
        tell_policy: takes what one says of itself for the policy of its deployment's autoscaling.
        concurrency: calls that each works on at a time.
        tasks: for those that nobody waits for.
    """

    def __init__(
        self,
        deployments: Mapping[DeploymentId, DeploymentState],
        values: WatchedValues,
        tell: Tell,
        tell_policy: Callable[[DeploymentId, str, dict[str, float]], None],
        concurrency: int,
        tasks: BackgroundTasks,
    ) -> None:
        self.started: Counter[DeploymentId] = Counter()
        """How many there ever were."""
        self._deployments = deployments
        self._values = values
        self._tell = tell
        self._tell_policy = tell_policy
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
                    **actor_options(config),
                    **resources,
                )
                .remote(start.spec, replica_id, start.rank)
            )
            self._actors[replica_id] = actor
            place = await actor.start.remote()
        except Exception as error:
            self._drop(replica_id)
            self._tell(deployment, "failed_to_start", replica_id, told(error))
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
            why = f"reconfigure raised {told(error)}"
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
        config_now = partial(self._config_of, deployment, replica_id)
        tell_routers = partial(self._tell, deployment, "told_routers", replica_id)
        self._tasks.start(ask_for(ROUTING, replica_id, actor, config_now, tell_routers))
        tell_policy = partial(self._tell_policy, deployment, replica_id)
        self._tasks.start(ask_for(AUTOSCALING, replica_id, actor, config_now, tell_policy))

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
                why = told(error)
            if replica_id in self._actors:
                self._tell(deployment, "checked", replica_id, why, answers)

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
