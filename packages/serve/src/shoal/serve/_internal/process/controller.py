"""The actor that knows what is to run, and sees to it. It decides nothing: see `logic/deployment_state.py` and `logic/autoscaling.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import shoal
from shoal import cloudpickle
from shoal.experimental import internal_kv
from shoal.serve._internal.logic.autoscaling import Autoscaling
from shoal.serve._internal.logic.deployment_state import (
    DeploymentState,
    Effect,
    Publish,
    ReconfigureReplica,
    Settled,
    StartReplica,
    StopReplica,
)
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.logic.room import has_to_give_way
from shoal.serve._internal.process.background_tasks import BackgroundTasks
from shoal.serve._internal.process.controller_link import NAMESPACE
from shoal.serve._internal.process.deployed_application import Application
from shoal.serve._internal.process.grpc_proxy import GrpcProxy
from shoal.serve._internal.process.kept_proxy import KeptProxy
from shoal.serve._internal.process.metrics_page import of_actors
from shoal.serve._internal.process.proxy import Proxy
from shoal.serve._internal.process.replica_actors import ReplicaActors
from shoal.serve._internal.process.watched_values import WatchedValues
from shoal.serve._internal.schema.deployments import (
    DEPLOYMENT_KEYS,
    ApplicationSpec,
    DeploymentId,
    DeploymentSpec,
    DeploymentTargets,
    ReplicaRecord,
    Route,
)
from shoal.serve.config import HTTPOptions, gRPCOptions
from shoal.serve.exceptions import DeployFailedError, InvalidArgumentError
from shoal.serve.schema import ProxyDetails, ServeInstanceDetails
from shoal.serve.status import ProxyStatus, ServeStatus

logger = logging.getLogger("shoal.serve")

PROXY_NAME = "SERVE_PROXY_ACTOR"
GRPC_PROXY_NAME = "SERVE_GRPC_PROXY_ACTOR"
REPLICA_SIGN = "#"
"""In ids of replicas, which are their names as listeners, too; no other listener has it."""
STATE = "state"
CHANGES = "changes"
"""Changes whenever the status may have: what those listen to who show it."""
CONCURRENT_CALLS = 100_000
NEVER_DEPLOYED = DeploymentTargets((), gone="there never was one of this name")


class Controller:
    """One for each session: named, detached, made again where it dies. What it needs then is in the session's key-values."""

    def __init__(self, http: HTTPOptions | None) -> None:
        # Versions of a controller that is made again have to be higher than those of the one before.
        self._values = WatchedValues(first_version=time.time_ns() // 1000)
        self._applications: dict[str, Application] = {}
        self._deployments: dict[DeploymentId, DeploymentState] = {}
        self._scaling: dict[DeploymentId, Autoscaling] = {}
        self._reports: dict[DeploymentId, dict[str, tuple[float, float]]] = {}
        self._tasks = BackgroundTasks()
        self._replicas = ReplicaActors(
            self._deployments, self._values, self._event, self._tell_policy, CONCURRENT_CALLS, self._tasks
        )
        self._http: KeptProxy[HTTPOptions] = KeptProxy(
            Proxy,
            PROXY_NAME,
            CONCURRENT_CALLS,
            lambda options: (options,),
            lambda: self._values.get("routes")[1] or (),
            self._save,
            self._tasks,
        )
        self._http.options = http
        self._grpc: KeptProxy[gRPCOptions] = KeptProxy(
            GrpcProxy,
            GRPC_PROXY_NAME,
            CONCURRENT_CALLS,
            lambda options: (options, (self._http.options or HTTPOptions()).host),
            lambda: self._values.get("applications")[1] or (),
            self._save,
            self._tasks,
        )
        self._timers: dict[DeploymentId, asyncio.TimerHandle] = {}
        self._recovery: asyncio.Task[None] | None = None
        self._values.set(CHANGES, None)

    # --- what is asked ----------------------------------------------------------------------------------------------------------------

    async def start(self, http: HTTPOptions | None = None) -> tuple[str, int] | None:
        """Returns where HTTP is answered, once it is; None where it is not to be. Raises OSError.

        Args:
            http: how it is to be answered where it is not yet, as after an error; None for what this was made with.
        """
        await self._recover()
        return await self._http.start(http if self._http.options is not None else None)

    async def start_grpc(self, options: gRPCOptions | None) -> tuple[str, int] | None:
        """Answers gRPC from now on, unless it does already. Returns where; None where it does not.

        Raises:
            OSError: the port is in use.
            InvalidArgumentError: (a ValueError) a service cannot be imported.
        """
        await self._recover()
        return await self._grpc.start(options)

    async def metrics(self) -> list[Sample]:
        """Returns what it, its replicas and the proxy of gRPC have counted."""
        await self._recover()
        replicas = self._replicas.all()
        asked = list(replicas.values())
        if self._grpc.actor is not None:
            asked.append(self._grpc.actor)
        samples = await of_actors(asked)
        for name, application in self._applications.items():
            for deployment, overview in application.overview(self._deployments).deployments.items():
                tags = {"application": name, "deployment": deployment}
                for state, number in overview.replica_states.items():
                    what = "Replicas of a deployment, by state."
                    labels = {**tags, "state": str(state)}
                    samples.append(Sample("serve_deployment_replicas", "gauge", what, labels, number))
        for (app, deployment), number in self._replicas.started.items():
            what = "Replicas that were started."
            labels = {"application": app, "deployment": deployment}
            samples.append(Sample("serve_deployment_replica_starts", "counter", what, labels, number))
        for replica_id in replicas:
            app, deployment, replica = replica_id.split("#")
            what = "1 for each replica that is there."
            labels = {"application": app, "deployment": deployment, "replica": replica}
            samples.append(Sample("serve_deployment_replica_healthy", "gauge", what, labels, 1))
        return samples

    async def listen(self, listener: str, versions: dict[str, int]) -> dict[str, tuple[int, Any]]:
        """Returns what is newer than these versions; waits until something is."""
        await self._recover()
        for key in versions:
            if key.startswith(DEPLOYMENT_KEYS) and not self._values.get(key)[0]:
                self._values.set(key, NEVER_DEPLOYED)
        # What a replica asked that has ended since may still have been on its way.
        if REPLICA_SIGN not in listener or listener in self._replicas:
            self._values.heard(listener, versions)
        try:
            return await self._values.newer_than(versions)
        except asyncio.CancelledError:
            self._values.gone(listener)
            raise

    async def value_of(self, key: str) -> tuple[int, Any]:
        """Returns what listeners of a key were told last."""
        await self._recover()
        return self._values.get(key)

    async def deploy(self, spec: ApplicationSpec, wait: bool = True) -> None:
        """Returns when the application runs, or at once.

        Raises:
            DeployFailedError: it does not start; what ran before under its name goes on.
            InvalidArgumentError: (a ValueError) another application has its route_prefix.
        """
        await self._recover()
        for other in self._applications.values():
            if (
                spec.route_prefix is not None
                and other.spec.route_prefix == spec.route_prefix
                and other.spec.name != spec.name
            ):
                raise InvalidArgumentError(
                    f"route_prefix is {spec.route_prefix!r}, which the application {other.spec.name} has; "
                    f"give another one, or delete that application first"
                )
        application = self._set_application(spec)
        self._save()
        outcome = self._until_settled(application)
        if wait:
            await outcome
        else:
            self._tasks.start(_quietly(outcome))

    async def _until_settled(self, application: Application) -> None:
        spec = application.spec
        await application.settled.wait()
        if application.error:
            if self._applications.get(spec.name) is application and application.fallback is not None:
                # Parts of the new version may run already: all go back to what worked.
                self._set_application(application.fallback).refused = application.error
                self._save()
            raise DeployFailedError(application.error)
        # Who is told that it runs may ask at once.
        await self._values.seen_by_all("routes")

    def _set_application(self, spec: ApplicationSpec) -> Application:
        before = self._applications.get(spec.name)
        application = self._applications[spec.name] = Application(spec, time.time(), before)
        if before is not None:
            before.settle(f"the application {spec.name} was deployed anew before this version ran")
        self._values.set(CHANGES, None)
        needs_room = self._needs_room_of(application)
        # A deployment is there before those that use it.
        for one in spec.deployments:
            self._deploy(one)
        if needs_room:
            # Requests wait for it from now on: what they went to ends.
            application.serving = spec
            self._tasks.start(self._make_room(application))
        self._publish_routes()
        return application

    def _needs_room_of(self, application: Application) -> bool:
        """Whether it cannot start before deployments that it leaves out have ended."""
        left = [self._deployments[one] for one in application.leftovers if one in self._deployments]
        if not left:
            return False
        to_start = []
        for spec in application.spec.deployments:
            state = self._deployments.get(spec.id)
            there = len(state.configs(is_ending=False)) if state is not None else 0
            to_start += [spec.config] * (spec.config.initial_replicas - there)
        ending = [config for state in self._deployments.values() for config in state.configs(is_ending=True)]
        running = [config for state in left for config in state.configs(is_ending=False)]
        return has_to_give_way(running, to_start, ending, shoal.available_resources())

    async def _make_room(self, application: Application) -> None:
        await self._values.seen_by_all("routes")
        await self._end_all(application.leftovers, application.ingresses)

    def _deploy(self, spec: DeploymentSpec) -> None:
        state = self._deployments.get(spec.id)
        if state is None:
            state = self._deployments[spec.id] = _new_state(spec.id)
        scaling = spec.config.autoscaling_config
        if scaling is None:
            self._scaling.pop(spec.id, None)
        elif state.spec is None or state.spec.config.autoscaling_config != scaling or spec.id not in self._scaling:
            self._scaling[spec.id] = Autoscaling(scaling, spec.id, spec.config.max_ongoing_requests)
        self._apply(spec.id, state.deploy(spec, _now()))

    async def delete(self, names: Sequence[str]) -> None:
        """Ends applications; returns when their requests are over."""
        await self._recover()
        ended = [self._applications.pop(name) for name in names if name in self._applications]
        for application in ended:
            application.settle(f"the application {application.spec.name} was deleted before it ran")
        self._publish_routes()
        self._save()
        self._values.set(CHANGES, None)
        await self._end_all(
            {one for app in ended for one in (*app.leftovers, *(spec.id for spec in app.spec.deployments))},
            {one for app in ended for one in app.ingresses},
        )

    async def _end_all(self, deployments: Set[DeploymentId], ingresses: Set[DeploymentId]) -> None:
        """Ends deployments, ingresses first: what they still have to answer may need the others."""
        await self._end(deployments & ingresses)
        await self._end(deployments)

    async def _end(self, deployments: Set[DeploymentId]) -> None:
        """Ends deployments that no application has any more; returns when nothing of them is left."""
        ending = {one for one in deployments if one in self._deployments and not self._is_wanted(one)}
        for one in ending:
            self._apply(one, self._deployments[one].delete(_now()))
        while any(one in self._deployments and not self._is_wanted(one) for one in ending):
            await self._values.newer_than({CHANGES: self._values.get(CHANGES)[0]})

    def _is_wanted(self, deployment: DeploymentId) -> bool:
        application = self._applications.get(deployment.app)
        return application is not None and any(one.id == deployment for one in application.spec.deployments)

    async def _end_leftovers(self, application: Application) -> None:
        """Ends what only versions before had, once nothing of these works on requests any more."""
        await self._values.seen_by_all("routes")
        ids = {one.id for one in application.spec.deployments}
        while any(one in self._deployments and self._deployments[one].has_old_replicas for one in ids):
            await self._values.newer_than({CHANGES: self._values.get(CHANGES)[0]})
        await self._end_all(application.leftovers, application.ingresses)
        application.leftovers = {one for one in application.leftovers if one in self._deployments}

    async def shutdown(self) -> None:
        """Ends all applications, and what listens."""
        await self.delete(list(self._applications))
        await self._http.stop()
        await self._grpc.stop()
        internal_kv._internal_kv_del(STATE, namespace=NAMESPACE)

    async def status(self) -> ServeStatus:
        """Returns what runs, and how."""
        await self._recover()
        proxies = (
            {shoal.get_runtime_context().get_node_id(): ProxyStatus.HEALTHY} if self._http.actor is not None else {}
        )
        applications = {name: app.overview(self._deployments) for name, app in self._applications.items()}
        return ServeStatus(proxies, applications, addresses=self._addresses())

    def _addresses(self) -> dict[str, str]:
        answered = {"http": self._http.address, "grpc": self._grpc.address}
        return {kind: _host_and_port(*where) for kind, where in answered.items() if where is not None}

    async def details(self) -> ServeInstanceDetails:
        """Returns all that it knows of what is served, for people and their programs."""
        status = await self.status()
        http, grpc = self._http.options, self._grpc.options
        return ServeInstanceDetails(
            http_options=http.model_dump(include={"host", "port", "root_path"}) if http is not None else None,
            grpc_options=grpc.model_dump(mode="json", exclude={"grpc_servicer_functions"})
            if grpc is not None
            else None,
            proxies={node: ProxyDetails(node_id=node, status=one) for node, one in status.proxies.items()},
            applications={name: app.details(self._deployments) for name, app in self._applications.items()},
        )

    async def ingress_of(self, name: str) -> str | None:
        """Returns the deployment that answers for an application; None where there is no such application."""
        await self._recover()
        application = self._applications.get(name)
        return application.serving.ingress if application is not None else None

    async def report(self, deployment: DeploymentId, router: str, requests: float) -> None:
        """A router has so much to do: requests that are worked on, and that wait."""
        await self._recover()
        scaling, state = self._scaling.get(deployment), self._deployments.get(deployment)
        if scaling is None or state is None:
            return
        now = _now()
        reports = self._reports.setdefault(deployment, {})
        reports[router] = (now, requests)
        self._scale(deployment, now)
        if state.wanted == 0 and requests > 0:
            self._apply(deployment, state.set_wanted(scaling.asked(0), now))

    def _scale(self, deployment: DeploymentId, now: float) -> None:
        scaling, state = self._scaling.get(deployment), self._deployments.get(deployment)
        if scaling is None or state is None or state.spec is None:
            return
        config = state.spec.config.autoscaling_config
        assert config is not None
        reports = self._reports.get(deployment, {})
        # A router that has something to do says so again and again; one that has not been heard of has died.
        fresh = {one: said for one, said in reports.items() if said[0] >= now - 3 * config.metrics_interval_s - 1}
        self._reports[deployment] = fresh
        scaling.record(sum(requests for _, requests in fresh.values()), now)
        before = scaling.problem
        self._apply(deployment, state.set_wanted(scaling.decide(state.wanted, now), now))
        if scaling.problem and scaling.problem != before:
            logger.error("the autoscaling policy of %s raised, and changes nothing: %s", deployment, scaling.problem)

    # --- what is done -----------------------------------------------------------------------------------------------------------------

    def _apply(self, deployment: DeploymentId, effects: Sequence[Effect]) -> None:
        state = self._deployments[deployment]
        # Who is to stop gets no new requests from the moment on at which routers know.
        for effect in sorted(effects, key=lambda one: not isinstance(one, Publish)):
            if isinstance(effect, StartReplica):
                self._tasks.start(self._replicas.start(deployment, effect))
            elif isinstance(effect, StopReplica):
                self._tasks.start(self._stop(deployment, effect))
            elif isinstance(effect, ReconfigureReplica):
                self._tasks.start(self._replicas.reconfigure(deployment, effect))
            elif isinstance(effect, Publish):
                self._values.set(deployment.key, effect.targets)
            else:
                self._settled(deployment, effect)
        if effects:
            self._values.set(CHANGES, None)
        if state.is_gone:
            del self._deployments[deployment]
            self._values.set(CHANGES, None)
            self._scaling.pop(deployment, None)
            self._reports.pop(deployment, None)
        self._set_timer(deployment)

    def _set_timer(self, deployment: DeploymentId) -> None:
        timer = self._timers.pop(deployment, None)
        if timer is not None:
            timer.cancel()
        state = self._deployments.get(deployment)
        if state is None:
            return
        now, scaling = _now(), self._scaling.get(deployment)
        deadlines = [state.deadline, scaling.deadline(state.wanted, now) if scaling is not None else None]
        due = min((one for one in deadlines if one is not None), default=None)
        if due is not None:
            self._timers[deployment] = asyncio.get_running_loop().call_later(due - now, self._tick, deployment)

    def _tick(self, deployment: DeploymentId) -> None:
        state = self._deployments.get(deployment)
        if state is None:
            return
        now = _now()
        effects = state.tick(now)
        if deployment in self._scaling:
            self._scale(deployment, now)
        self._apply(deployment, effects)

    def _settled(self, deployment: DeploymentId, effect: Settled) -> None:
        application = self._applications.get(deployment.app)
        if application is None:
            return
        application.open.discard(deployment)
        if effect.error:
            application.settle(f"the deployment {deployment} could not be started: {effect.error}")
        if application.open:
            return
        application.settle()
        self._publish_routes()
        if application.leftovers:
            self._tasks.start(self._end_leftovers(application))

    async def _stop(self, deployment: DeploymentId, effect: StopReplica) -> None:
        await self._replicas.stop(deployment, effect)
        self._values.set(CHANGES, None)

    def _event(self, deployment: DeploymentId, name: str, *arguments: Any) -> None:
        state = self._deployments.get(deployment)
        if state is not None:
            self._apply(deployment, getattr(state, name)(*arguments, _now()))

    def _tell_policy(self, deployment: DeploymentId, replica_id: str, stats: dict[str, float]) -> None:
        scaling = self._scaling.get(deployment)
        if scaling is not None:
            scaling.told(replica_id, stats, _now())

    def _publish_routes(self) -> None:
        routes = [
            Route(one.route_prefix, one.name, one.ingress)
            for one in (app.serving for app in self._applications.values())
            if one.route_prefix is not None
        ]
        self._set_if_new("routes", tuple(sorted(routes, key=lambda route: -len(route.prefix))))
        ingresses = tuple((app.spec.name, app.serving.ingress) for app in self._applications.values())
        self._set_if_new("applications", ingresses)

    def _set_if_new(self, key: str, value: Any) -> None:
        version, before = self._values.get(key)
        if version == 0 or before != value:
            self._values.set(key, value)

    # --- a controller that is made again ------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        grpc = (self._grpc.options, self._grpc.address)
        applications = [(app.spec, app.deployed_at, app.works, app.fallback) for app in self._applications.values()]
        state = (self._http.options, self._http.address, grpc, applications)
        internal_kv._internal_kv_put(STATE, cloudpickle.dumps(state), namespace=NAMESPACE)

    async def _recover(self) -> None:
        """Takes over from the controller before this one, at the first call; the others wait for it, too."""
        if self._recovery is None:
            self._recovery = asyncio.get_running_loop().create_task(self._take_over())
        if not self._recovery.done():
            await asyncio.shield(self._recovery)
        self._recovery.result()

    async def _take_over(self) -> None:
        saved = internal_kv._internal_kv_get(STATE, namespace=NAMESPACE)
        if saved is None:
            return
        http, address, grpc, applications = cloudpickle.loads(saved)
        found = self._replicas.find()
        actors = self._replicas.all()
        for spec, deployed_at, works, fallback in applications:
            known = (*spec.deployments, *(fallback.deployments if fallback is not None else ()))
            for deployment in {one.id for one in known}:
                self._deployments[deployment] = state = _new_state(deployment)
                for replica_id, record in found.items():
                    if record.deployment == deployment and not record.is_ending:
                        running = _spec_of(record, known)
                        state.adopt(replica_id, running, record.rank, actors[replica_id], record.place)
            if not works and fallback is not None:
                # It goes on where the new version does not come to run.
                self._set_application(fallback).works = True
            self._set_application(spec).deployed_at = deployed_at
        for replica_id, record in found.items():
            if record.is_ending or record.deployment not in self._deployments:
                # It was to end, or what it belongs to was.
                stop = StopReplica(replica_id, record.config.graceful_shutdown_timeout_s)
                self._tasks.start(self._stop(record.deployment, stop))
            else:
                self._replicas.watch(record.deployment, replica_id)
        await self._http.take_over(http, address)
        await self._grpc.take_over(*grpc)


def _spec_of(record: ReplicaRecord, known: Sequence[DeploymentSpec]) -> DeploymentSpec:
    """Returns what a replica runs. Where no version is known that has its code, that code is not needed: the replica is to go."""
    for one in known:
        if one.id == record.deployment and one.code_version == record.code_version:
            return replace(one, config=record.config)
    return DeploymentSpec(record.deployment, b"", b"", record.config, record.code_version)


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _quietly(outcome: Any) -> None:
    """Nobody waits for it: the status tells how it went."""
    with contextlib.suppress(DeployFailedError):
        await outcome


def _now() -> float:
    return time.monotonic()


def _new_state(deployment: DeploymentId) -> DeploymentState:
    return DeploymentState(deployment, lambda: f"{deployment.app}#{deployment.name}#{uuid.uuid4().hex[:8]}")
