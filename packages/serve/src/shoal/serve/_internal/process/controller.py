"""The actor that knows what is to run, and sees to it."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import shoal
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.process.watched_values import WatchedValues
from shoal.serve._internal.schema.deployments import (
    ApplicationSpec,
    DeploymentId,
    DeploymentSpec,
    DeploymentTargets,
    ReplicaInfo,
    Route,
)
from shoal.serve.config import HTTPOptions
from shoal.serve.exceptions import DeployFailedError


class Controller:
    """One for each session. Named and detached."""

    def __init__(self, http: HTTPOptions) -> None:
        self._http = http
        self._values = WatchedValues()
        self._applications: dict[str, ApplicationSpec] = {}
        self._replicas: dict[DeploymentId, list[tuple[ReplicaInfo, DeploymentSpec]]] = {}
        self._started = time.time()
        self._draining: set[asyncio.Task[None]] = set()

    async def listen(self, versions: dict[str, int]) -> dict[str, tuple[int, Any]]:
        """Returns what is newer than these versions; waits until something is."""
        return await self._values.newer_than(versions)

    async def value_of(self, key: str) -> tuple[int, Any]:
        """Returns what listeners of a key were told last."""
        return self._values.get(key)

    async def http_options(self) -> HTTPOptions:
        return self._http

    async def deploy(self, application: ApplicationSpec) -> None:
        """Returns when the application runs. Raises DeployFailedError; what ran before under its name then goes on."""
        old = self._applications.get(application.name)
        started: dict[DeploymentId, list[tuple[ReplicaInfo, DeploymentSpec]]] = {}
        try:
            for spec in application.deployments:
                started[spec.id] = await self._start_replicas(spec)
        except DeployFailedError:
            for replicas in started.values():
                for info, _ in replicas:
                    shoal.kill(info.actor)
            raise
        ended = {spec.id for spec in old.deployments} - started.keys() if old else set()
        self._applications[application.name] = application
        for deployment, replicas in started.items():
            self._replace(deployment, replicas, "")
        for deployment in ended:
            self._replace(deployment, [], "it is no longer part of its application")
        self._publish_routes()

    async def _start_replicas(self, spec: DeploymentSpec) -> list[tuple[ReplicaInfo, DeploymentSpec]]:
        kept = [pair for pair in self._replicas.get(spec.id, []) if pair[1].code_version == spec.code_version]
        wanted = spec.config.initial_replicas
        await asyncio.gather(*(info.actor.reconfigure.remote(spec) for info, _ in kept[:wanted]))
        new = await asyncio.gather(*(self._start_replica(spec) for _ in range(wanted - len(kept))))
        return [(info, spec) for info, _ in kept[:wanted]] + [(info, spec) for info in new]

    async def _start_replica(self, spec: DeploymentSpec) -> ReplicaInfo:
        replica_id = f"{spec.id.app}#{spec.id.name}#{uuid.uuid4().hex[:8]}"
        options = {"num_cpus": 1, **spec.config.ray_actor_options}
        actor = (
            shoal.remote(Replica)
            .options(
                name=f"SERVE_REPLICA::{replica_id}",
                namespace="serve",
                lifetime="detached",
                max_concurrency=100_000,
                **options,
            )
            .remote(spec, replica_id)
        )
        try:
            await actor.start.remote()
        except Exception as error:
            shoal.kill(actor)
            raise DeployFailedError(
                f"deployment {spec.id} could not be started: {type(error).__name__}: {error}"
            ) from error
        return ReplicaInfo(replica_id, actor, spec.config.max_ongoing_requests, "")

    def _replace(self, deployment: DeploymentId, replicas: list[tuple[ReplicaInfo, DeploymentSpec]], gone: str) -> None:
        before = self._replicas.pop(deployment, [])
        if replicas:
            self._replicas[deployment] = replicas
        infos = tuple(info for info, _ in replicas)
        queued = replicas[0][1].config.max_queued_requests if replicas else -1
        self._values.set(f"deployment:{deployment.app}:{deployment.name}", DeploymentTargets(infos, queued, gone))
        stay = {info.replica_id for info in infos}
        for info, spec in before:
            if info.replica_id not in stay:
                task = asyncio.get_running_loop().create_task(self._end(info, spec))
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)

    async def _end(self, info: ReplicaInfo, spec: DeploymentSpec) -> None:
        try:
            async with asyncio.timeout(spec.config.graceful_shutdown_timeout_s):
                await info.actor.drain.remote()
        except (TimeoutError, shoal.exceptions.ShoalError):
            pass
        finally:
            shoal.kill(info.actor)

    def _publish_routes(self) -> None:
        routes = [
            Route(app.route_prefix, app.name, app.ingress)
            for app in self._applications.values()
            if app.route_prefix is not None
        ]
        self._values.set("routes", tuple(sorted(routes, key=lambda route: -len(route.prefix))))

    async def delete(self, name: str) -> None:
        """Ends an application; returns when its requests are over."""
        application = self._applications.pop(name, None)
        if application is None:
            return
        self._publish_routes()
        for spec in application.deployments:
            self._replace(spec.id, [], f"the application {name} was deleted")
        if self._draining:
            await asyncio.wait(self._draining)

    async def shutdown(self) -> None:
        """Ends all applications."""
        for name in list(self._applications):
            await self.delete(name)
