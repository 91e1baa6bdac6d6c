"""The actor that knows what is to run, and sees to it. It decides nothing: see `logic/deployment_state.py` and `logic/autoscaling.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
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
from shoal.serve._internal.process.controller_link import NAMESPACE
from shoal.serve._internal.process.deployed_application import Application
from shoal.serve._internal.process.grpc_proxy import GrpcProxy
from shoal.serve._internal.process.metrics_page import of_actors
from shoal.serve._internal.process.proxy import Proxy
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.process.replica_placement import ReplicaPlacement
from shoal.serve._internal.process.watched_values import WatchedValues
from shoal.serve._internal.schema.deployments import (
    ApplicationSpec,
    DeploymentId,
    DeploymentSpec,
    ReplicaRecord,
    Route,
)
from shoal.serve.config import DeploymentConfig, HTTPOptions, gRPCOptions
from shoal.serve.exceptions import DeployFailedError, InvalidArgumentError
from shoal.serve.schema import ApplicationDetails, ProxyDetails, ServeInstanceDetails
from shoal.serve.status import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    ProxyStatus,
    ServeStatus,
)

logger = logging.getLogger("shoal.serve")

REPLICA_NAME = "SERVE_REPLICA::"
PROXY_NAME = "SERVE_PROXY_ACTOR"
GRPC_PROXY_NAME = "SERVE_GRPC_PROXY_ACTOR"
REPLICA_SIGN = "#"
"""In ids of replicas, which are their names as listeners, too; no other listener has it."""
STATE = "state"
CHANGES = "changes"
"""Changes whenever the status may have: what those listen to who show it."""
CONCURRENT_CALLS = 100_000
SLOWEST_ROUTER = 2.0
"""Seconds until a router is taken to know what was published."""


class Controller:
    """One for each session: named, detached, made again where it dies. What it needs then is in the session's key-values."""

    def __init__(self, http: HTTPOptions | None) -> None:
        # Versions of a controller that is made again have to be higher than those of the one before.
        self._values = WatchedValues(first_version=time.time_ns() // 1000)
        self._http = http
        self._applications: dict[str, Application] = {}
        self._deployments: dict[DeploymentId, DeploymentState] = {}
        self._scaling: dict[DeploymentId, Autoscaling] = {}
        self._reports: dict[DeploymentId, dict[str, tuple[float, float]]] = {}
        self._actors: dict[str, Any] = {}
        self._proxy: Any = None
        self._address: tuple[str, int] | None = None
        self._grpc: gRPCOptions | None = None
        self._grpc_proxy: Any = None
        self._grpc_address: tuple[str, int] | None = None
        self._placement = ReplicaPlacement(REPLICA_NAME)
        self._starting = asyncio.Lock()
        """Of proxies: one at a time."""
        self._starts: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[DeploymentId, asyncio.TimerHandle] = {}
        self._recovery: asyncio.Task[None] | None = None
        self._values.set(CHANGES, None)

    # --- what is asked ----------------------------------------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int] | None:
        """Returns where HTTP is answered, once it is; None where it is not to be. Raises OSError."""
        await self._recover()
        async with self._starting:
            if self._http is not None and self._proxy is None:
                await self._start_proxy(self._http)
        return self._address

    async def start_grpc(self, options: gRPCOptions | None) -> tuple[str, int] | None:
        """Answers gRPC from now on, unless it does already. Returns where; None where it does not.

        Raises:
            OSError: the port is in use.
            InvalidArgumentError: (a ValueError) a service cannot be imported.
        """
        await self._recover()
        async with self._starting:
            if options is not None and self._grpc_proxy is None:
                await self._start_grpc_proxy(options)
        return self._grpc_address

    async def metrics(self) -> list[Sample]:
        """Returns what it, its replicas and the proxy of gRPC have counted."""
        await self._recover()
        replicas = [(replica_id, actor) for replica_id, actor in self._actors.items()]
        asked = [actor for _, actor in replicas]
        if self._grpc_proxy is not None:
            asked.append(self._grpc_proxy)
        samples = await of_actors(asked)
        for name, application in self._applications.items():
            for deployment, overview in self._overview(application).deployments.items():
                tags = {"application": name, "deployment": deployment}
                for state, number in overview.replica_states.items():
                    what = "Replicas of a deployment, by state."
                    labels = {**tags, "state": str(state)}
                    samples.append(Sample("serve_deployment_replicas", "gauge", what, labels, number))
        for (app, deployment), number in self._starts.items():
            what = "Replicas that were started."
            labels = {"application": app, "deployment": deployment}
            samples.append(Sample("serve_deployment_replica_starts", "counter", what, labels, number))
        for replica_id, _ in replicas:
            app, deployment, replica = replica_id.split("#")
            what = "1 for each replica that is there."
            labels = {"application": app, "deployment": deployment, "replica": replica}
            samples.append(Sample("serve_deployment_replica_healthy", "gauge", what, labels, 1))
        return samples

    async def listen(self, listener: str, versions: dict[str, int]) -> dict[str, tuple[int, Any]]:
        """Returns what is newer than these versions; waits until something is."""
        await self._recover()
        # What a replica asked that has ended since may still have been on its way.
        if REPLICA_SIGN not in listener or listener in self._actors:
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
            self._spawn(_quietly(outcome))

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
        await self._seen_by_all("routes")

    def _set_application(self, spec: ApplicationSpec) -> Application:
        before = self._applications.get(spec.name)
        application = self._applications[spec.name] = Application(spec, time.time(), before)
        if before is not None:
            before.settle(f"the application {spec.name} was deployed anew before this version ran")
        self._values.set(CHANGES, None)
        # A deployment is there before those that use it.
        for one in spec.deployments:
            self._deploy(one)
        self._publish_routes()
        return application

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
        await self._seen_by_all("routes")
        ids = {one.id for one in application.spec.deployments}
        while any(one in self._deployments and self._deployments[one].has_old_replicas for one in ids):
            await self._values.newer_than({CHANGES: self._values.get(CHANGES)[0]})
        await self._end_all(application.leftovers, application.ingresses)
        application.leftovers = {one for one in application.leftovers if one in self._deployments}

    async def shutdown(self) -> None:
        """Ends all applications, and what listens."""
        await self.delete(list(self._applications))
        if self._proxy is not None:
            proxy, self._proxy = self._proxy, None
            await proxy.stop.remote()
            shoal.kill(proxy)
        if self._grpc_proxy is not None:
            proxy, self._grpc_proxy, self._grpc, self._grpc_address = self._grpc_proxy, None, None, None
            await proxy.stop.remote()
            shoal.kill(proxy)
        internal_kv._internal_kv_del(STATE, namespace=NAMESPACE)

    async def status(self) -> ServeStatus:
        """Returns what runs, and how."""
        await self._recover()
        proxies = {shoal.get_runtime_context().get_node_id(): ProxyStatus.HEALTHY} if self._proxy is not None else {}
        applications = {name: self._overview(app) for name, app in self._applications.items()}
        return ServeStatus(proxies, applications, addresses=self._addresses())

    def _addresses(self) -> dict[str, str]:
        answered = {"http": self._address, "grpc": self._grpc_address}
        return {kind: _host_and_port(*where) for kind, where in answered.items() if where is not None}

    async def details(self) -> ServeInstanceDetails:
        """Returns all that it knows of what is served, for people and their programs."""
        status = await self.status()
        grpc = (
            self._grpc.model_dump(mode="json", exclude={"grpc_servicer_functions"}) if self._grpc is not None else None
        )
        return ServeInstanceDetails(
            http_options=self._http.model_dump(include={"host", "port", "root_path"})
            if self._http is not None
            else None,
            grpc_options=grpc,
            proxies={node: ProxyDetails(node_id=node, status=one) for node, one in status.proxies.items()},
            applications={
                name: ApplicationDetails(
                    name=name,
                    route_prefix=self._applications[name].spec.route_prefix,
                    status=one.status,
                    message=one.message,
                    last_deployed_time_s=one.last_deployed_time_s,
                    deployments={
                        spec.id.name: self._deployments[spec.id].details()
                        for spec in self._applications[name].spec.deployments
                    },
                )
                for name, one in status.applications.items()
            },
        )

    def _overview(self, application: Application) -> ApplicationStatusOverview:
        deployments = {one.id.name: self._deployments[one.id].overview() for one in application.spec.deployments}
        states = {one.status for one in deployments.values()}
        trouble = application.error or application.refused
        if trouble or DeploymentStatus.DEPLOY_FAILED in states:
            status = ApplicationStatus.DEPLOY_FAILED
        elif DeploymentStatus.UNHEALTHY in states:
            status = ApplicationStatus.UNHEALTHY
        elif DeploymentStatus.UPDATING in states:
            status = ApplicationStatus.DEPLOYING
        else:
            status = ApplicationStatus.RUNNING
        message = trouble or "; ".join(one.message for one in deployments.values() if one.message)
        return ApplicationStatusOverview(status, message, application.deployed_at, deployments)

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
                self._spawn(self._start(deployment, effect))
            elif isinstance(effect, StopReplica):
                self._spawn(self._stop(deployment, effect))
            elif isinstance(effect, ReconfigureReplica):
                self._spawn(self._reconfigure(deployment, effect))
            elif isinstance(effect, Publish):
                self._values.set(_key(deployment), effect.targets)
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

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            self._spawn(self._end_leftovers(application))

    async def _start(self, deployment: DeploymentId, start: StartReplica) -> None:
        replica_id, config = start.replica_id, start.spec.config
        options = {"num_cpus": 1, **config.ray_actor_options}
        if not _fits(options, config.placement_group_bundles):
            self._event(deployment, "has_no_room", replica_id)
        try:
            place = await self._placement.reserved(replica_id, config)
            actor = (
                shoal.remote(Replica)
                .options(
                    name=f"{REPLICA_NAME}{replica_id}",
                    namespace=NAMESPACE,
                    lifetime="detached",
                    max_concurrency=CONCURRENT_CALLS,
                    **options,
                    **place,
                )
                .remote(start.spec, replica_id, start.rank)
            )
            self._actors[replica_id] = actor
            node_id = await actor.start.remote()
        except Exception as error:
            self._drop(replica_id)
            self._event(deployment, "failed_to_start", replica_id, f"{type(error).__name__}: {error}")
            return
        self._starts[deployment] += 1
        self._event(deployment, "started", replica_id, actor, node_id)
        self._record(deployment, replica_id)
        self._watch(deployment, replica_id, actor)

    def _watch(self, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        self._spawn(self._until_it_dies(deployment, replica_id, actor))
        self._spawn(self._check_health(deployment, replica_id, actor))

    async def _until_it_dies(self, deployment: DeploymentId, replica_id: str, actor: Any) -> None:
        try:
            await actor.until_it_ends.remote()
        except shoal.exceptions.ShoalError as error:
            self._placement.release(replica_id)
            if self._forget(replica_id) is not None:
                self._event(deployment, "died", replica_id, str(error))

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
                why = f"{type(error).__name__}: {error}"
            if replica_id in self._actors:
                self._event(deployment, "checked", replica_id, why, answers)

    def _config_of(self, deployment: DeploymentId, replica_id: str) -> DeploymentConfig | None:
        """Returns the options of a replica, which may change; None where it is gone."""
        state = self._deployments.get(deployment)
        return state.config_of(replica_id) if state is not None and replica_id in self._actors else None

    async def _stop(self, deployment: DeploymentId, stop: StopReplica) -> None:
        actor = self._actors.get(stop.replica_id)
        if actor is not None and stop.wait_s > 0:
            self._record(deployment, stop.replica_id)
            await self._seen_by_all(_key(deployment))
            # Where that takes too long, or fails, what it still had is answered by its death.
            with contextlib.suppress(TimeoutError, shoal.exceptions.ShoalError):
                async with asyncio.timeout(stop.wait_s):
                    await actor.drain.remote()
                    self._forget(stop.replica_id)
                    await actor.__ray_terminate__.remote()
        self._drop(stop.replica_id)
        self._event(deployment, "stopped", stop.replica_id)
        self._values.set(CHANGES, None)

    async def _seen_by_all(self, key: str) -> None:
        try:
            async with asyncio.timeout(SLOWEST_ROUTER):
                await self._values.seen_by_all(key)
        except TimeoutError:
            # Longer than that takes only one whose process is gone: nobody waits for it again.
            self._values.forget_slow(key)

    def _drop(self, replica_id: str) -> None:
        actor = self._forget(replica_id)
        if actor is not None:
            shoal.kill(actor)
        self._placement.release(replica_id)

    def _forget(self, replica_id: str) -> Any:
        """A replica ends. Returns its actor; None where it has ended. Nobody waits for it to hear of changes."""
        actor = self._actors.pop(replica_id, None)
        self._values.gone(replica_id)
        internal_kv._internal_kv_del(f"{REPLICA_NAME}{replica_id}", namespace=NAMESPACE)
        return actor

    async def _reconfigure(self, deployment: DeploymentId, effect: ReconfigureReplica) -> None:
        actor = self._actors.get(effect.replica_id)
        if actor is None:
            return
        why = ""
        try:
            await actor.reconfigure.remote(effect.spec)
        except shoal.exceptions.ActorError:
            return  # Its death is told apart.
        except Exception as error:
            why = f"reconfigure raised {type(error).__name__}: {error}"
        if not why:
            self._record(deployment, effect.replica_id)
        self._event(deployment, "reconfigured", effect.replica_id, why)

    def _event(self, deployment: DeploymentId, name: str, *arguments: Any) -> None:
        state = self._deployments.get(deployment)
        if state is not None:
            self._apply(deployment, getattr(state, name)(*arguments, _now()))

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

    # --- HTTP -------------------------------------------------------------------------------------------------------------------------

    async def _start_proxy(self, options: HTTPOptions) -> None:
        proxy = (
            shoal.remote(Proxy)
            .options(
                name=PROXY_NAME,
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_concurrency=CONCURRENT_CALLS,
            )
            .remote(options)
        )
        try:
            self._address = await proxy.start.remote(self._values.get("routes")[1] or ())
        except BaseException:
            shoal.kill(proxy)
            raise
        self._proxy = proxy
        # One that is made again listens where this one did.
        assert self._address is not None
        self._http = options.model_copy(update={"port": self._address[1]})
        self._save()
        self._spawn(self._until_the_proxy_dies(proxy))

    async def _until_the_proxy_dies(self, proxy: Any) -> None:
        try:
            await proxy.until_it_ends.remote()
        except shoal.exceptions.ShoalError:
            if self._proxy is proxy and self._http is not None:
                async with self._starting:
                    self._proxy = None
                    await self._start_proxy(self._http)

    async def _start_grpc_proxy(self, options: gRPCOptions) -> None:
        host = self._http.host if self._http is not None else HTTPOptions().host
        proxy = (
            shoal.remote(GrpcProxy)
            .options(
                name=GRPC_PROXY_NAME,
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_concurrency=CONCURRENT_CALLS,
            )
            .remote(options, host)
        )
        try:
            address = self._grpc_address = await proxy.start.remote(self._values.get("applications")[1] or ())
        except BaseException:
            shoal.kill(proxy)
            raise
        self._grpc_proxy = proxy
        # One that is made again listens where this one did.
        self._grpc = options.model_copy(update={"port": address[1]})
        self._save()
        self._spawn(self._until_the_grpc_proxy_dies(proxy))

    async def _until_the_grpc_proxy_dies(self, proxy: Any) -> None:
        try:
            await proxy.until_it_ends.remote()
        except shoal.exceptions.ShoalError:
            if self._grpc_proxy is proxy and self._grpc is not None:
                async with self._starting:
                    self._grpc_proxy = None
                    await self._start_grpc_proxy(self._grpc)

    # --- a controller that is made again ------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        grpc = (self._grpc, self._grpc_address)
        applications = [(app.spec, app.deployed_at, app.works, app.fallback) for app in self._applications.values()]
        state = (self._http, self._address, grpc, applications)
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
        self._http, self._address, grpc, applications = cloudpickle.loads(saved)
        self._grpc, self._grpc_address = grpc
        found = self._found_replicas()
        for spec, deployed_at, works, fallback in applications:
            known = (*spec.deployments, *(fallback.deployments if fallback is not None else ()))
            for deployment in {one.id for one in known}:
                self._deployments[deployment] = state = _new_state(deployment)
                for replica_id, (actor, record) in found.items():
                    if record.deployment == deployment and not record.is_ending:
                        running = _spec_of(record, known)
                        state.adopt(replica_id, running, record.rank, actor, record.node_id)
            if not works and fallback is not None:
                # It goes on where the new version does not come to run.
                self._set_application(fallback).works = True
            self._set_application(spec).deployed_at = deployed_at
        for replica_id, (actor, record) in found.items():
            if record.is_ending or record.deployment not in self._deployments:
                # It was to end, or what it belongs to was.
                stop = StopReplica(replica_id, record.config.graceful_shutdown_timeout_s)
                self._spawn(self._stop(record.deployment, stop))
            elif replica_id in self._actors:
                self._watch(record.deployment, replica_id, actor)
        if self._http is not None:
            try:
                self._proxy = shoal.get_actor(PROXY_NAME, namespace=NAMESPACE)
                self._spawn(self._until_the_proxy_dies(self._proxy))
            except ValueError:
                await self._start_proxy(self._http)
        if self._grpc is not None:
            try:
                self._grpc_proxy = shoal.get_actor(GRPC_PROXY_NAME, namespace=NAMESPACE)
                self._spawn(self._until_the_grpc_proxy_dies(self._grpc_proxy))
            except ValueError:
                await self._start_grpc_proxy(self._grpc)

    def _found_replicas(self) -> dict[str, tuple[Any, ReplicaRecord]]:
        """Returns those that ran. Nobody is asked: a constructor may keep a replica from answering for minutes."""
        found = {}
        everywhere: Any = shoal.util.list_named_actors(all_namespaces=True)
        for named in everywhere:
            name = named["name"]
            if named["namespace"] != NAMESPACE or not name.startswith(REPLICA_NAME):
                continue
            actor = shoal.get_actor(name, namespace=NAMESPACE)
            replica_id = name.removeprefix(REPLICA_NAME)
            record = internal_kv._internal_kv_get(name, namespace=NAMESPACE)
            if record is None:
                # It had not begun to serve; another one will be started.
                shoal.kill(actor)
                continue
            self._actors[replica_id] = actor
            found[replica_id] = (actor, cloudpickle.loads(record))
        self._placement.take_over(frozenset(found))
        return found

    def _record(self, deployment: DeploymentId, replica_id: str) -> None:
        state = self._deployments.get(deployment)
        record = state.record_of(replica_id) if state is not None else None
        if record is not None:
            name = f"{REPLICA_NAME}{replica_id}"
            internal_kv._internal_kv_put(name, cloudpickle.dumps(record), namespace=NAMESPACE)


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


def _key(deployment: DeploymentId) -> str:
    return f"deployment:{deployment.app}:{deployment.name}"


def _now() -> float:
    return time.monotonic()


def _new_state(deployment: DeploymentId) -> DeploymentState:
    return DeploymentState(deployment, lambda: f"{deployment.app}#{deployment.name}#{uuid.uuid4().hex[:8]}")


def _fits(options: dict[str, Any], bundles: list[dict[str, float]] | None) -> bool:
    """Whether resources for another replica are free now."""
    there = shoal.available_resources()
    asked: Counter[str] = Counter()
    if bundles is None:
        asked.update({"CPU": options.get("num_cpus") or 0, "GPU": options.get("num_gpus") or 0})
        asked.update(options.get("resources") or {})
    for bundle in bundles or ():
        asked.update(bundle)
    return all(amount <= there.get(name, 0.0) for name, amount in asked.items())
