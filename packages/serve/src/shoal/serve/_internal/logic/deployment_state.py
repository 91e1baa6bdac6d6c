"""One deployment: what is to run, what runs, and what to do about the difference.

STARTING --started--> RUNNING --no longer wanted--> STOPPING --ended--> gone
   |                     +--died, or unhealthy three times--> gone, and another starts
   +--failed--> gone, and another starts a while later; after too many failures the version counts as failed, and the one before goes on

A new version starts a few replicas at a time (`rolling_update_percentage`, at least one). Each that runs takes the place of one of the old
version, which ends once its requests are over; so at no moment nobody takes requests. Where there is no room for both, an old one ends
first.

Options that need no new replica go to those that run, one change at a time. Where a replica does not take them, all go back to the options
that they had.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal.serve._internal.logic.room import actor_options
from shoal.serve._internal.schema.deployments import (
    NOWHERE,
    DeploymentId,
    DeploymentSpec,
    DeploymentTargets,
    ReplicaInfo,
    ReplicaPlace,
    ReplicaRecord,
)
from shoal.serve.config import DeploymentConfig
from shoal.serve.schema import DeploymentDetails, ReplicaDetails
from shoal.serve.status import DeploymentStatus, DeploymentStatusOverview, DeploymentStatusTrigger, ReplicaState

UNHEALTHY_CHECKS = 3
"""That fail in a row before a replica is replaced."""
FIRST_TRIES = 3
"""Starts of a version that never ran, before it counts as failed."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries to start."""


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Start a replica. `rank` is the lowest that no other has."""

    replica_id: str
    spec: DeploymentSpec
    rank: int


@dataclass(frozen=True, slots=True)
class StopReplica:
    """End a replica when its requests are over, after `wait_s` seconds in any case."""

    replica_id: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class ReconfigureReplica:
    """Give a running replica options that need no new one."""

    replica_id: str
    spec: DeploymentSpec


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell routers who takes requests."""

    targets: DeploymentTargets


@dataclass(frozen=True, slots=True)
class Settled:
    """What was deployed last runs; with an `error` it does not, and what ran before goes on."""

    error: str = ""


Effect = StartReplica | StopReplica | ReconfigureReplica | Publish | Settled


@dataclass(slots=True)
class _Replica:
    replica_id: str
    spec: DeploymentSpec
    rank: int
    state: ReplicaState = ReplicaState.STARTING
    actor: Any = None
    place: ReplicaPlace = NOWHERE
    failed_checks: int = 0
    told: DeploymentSpec | None = None
    """What its process was given last: at its start, or as new options."""
    waits_for_room: bool = False
    """Whether others had the resources that it needs when it was to start."""
    routing_stats: Mapping[str, Any] | None = None
    """What it told last for routers of the user's."""
    is_changing: bool = False
    """Whether it was given new options, and has not answered yet."""


class DeploymentState:
    """Decides for one deployment. Times are in seconds, of any clock that does not go back.

    Args:
        deployment: which.
        new_id: makes a replica's id.
    """

    def __init__(self, deployment: DeploymentId, new_id: Callable[[], str]) -> None:
        self.deployment = deployment
        self.spec: DeploymentSpec | None = None
        self.replicas: dict[str, _Replica] = {}
        self.wanted = 0
        """Replicas that there are to be."""
        self._new_id = new_id
        self._previous: DeploymentSpec | None = None
        self._deleting = False
        self._failed = ""
        self._trouble = ""
        self._failures = 0
        self._ran = False
        self._settled = True
        self._retry_at: float | None = None
        self._trigger = DeploymentStatusTrigger.UNSPECIFIED
        self._published: DeploymentTargets | None = None
        self._changing: DeploymentStatus | None = None

    # --- what others ask for ----------------------------------------------------------------------------------------------------------

    def deploy(self, spec: DeploymentSpec, now: float) -> list[Effect]:
        """This is to run from now on."""
        before = self.spec
        same_code = before is not None and before.code_version == spec.code_version
        self.spec = spec
        self._deleting = False
        self._failed = self._trouble = ""
        self._failures = 0
        self._retry_at = None
        self._settled = False
        self._changing = DeploymentStatus.UPDATING
        self._trigger = DeploymentStatusTrigger.CONFIG_UPDATE_STARTED
        self.wanted = self._initially_wanted(before, spec)
        self._ran = self._ran and same_code
        if before is not None and any(one.state is ReplicaState.RUNNING for one in self._of(before)):
            self._previous = self._previous if same_code and self._previous is not None else before
        return self._advance(now)

    def _initially_wanted(self, before: DeploymentSpec | None, spec: DeploymentSpec) -> int:
        scaling = spec.config.autoscaling_config
        if scaling is None:
            return spec.config.num_replicas or 1
        if before is not None and before.config.autoscaling_config is not None:
            return min(max(self.wanted, scaling.min_replicas), scaling.max_replicas)
        return spec.config.initial_replicas

    def set_wanted(self, replicas: int, now: float) -> list[Effect]:
        """There are to be so many replicas, by the load."""
        if self._deleting or self.spec is None or replicas == self.wanted:
            return []
        self._changing = DeploymentStatus.UPSCALING if replicas > self.wanted else DeploymentStatus.DOWNSCALING
        self._trigger = DeploymentStatusTrigger.AUTOSCALING
        self.wanted = replicas
        return self._advance(now)

    def delete(self, now: float) -> list[Effect]:
        """Nothing of it is to run."""
        self._deleting = True
        self._trigger = DeploymentStatusTrigger.DELETING
        self.wanted = 0
        return self._advance(now)

    # --- what happens -----------------------------------------------------------------------------------------------------------------

    def adopt(self, replica_id: str, spec: DeploymentSpec, rank: int, actor: Any, place: ReplicaPlace) -> None:
        """A replica runs already, which the controller before this one had started."""
        adopted = _Replica(replica_id, spec, rank, ReplicaState.RUNNING, actor, place)
        adopted.told = spec
        self.replicas[replica_id] = adopted

    def started(self, replica_id: str, actor: Any, place: ReplicaPlace, now: float) -> list[Effect]:
        """A replica is ready for requests."""
        replica = self.replicas.get(replica_id)
        if replica is None or replica.state is not ReplicaState.STARTING:
            return []
        replica.state, replica.actor, replica.place = ReplicaState.RUNNING, actor, place
        if self.spec is not None and replica.spec.code_version == self.spec.code_version:
            self._ran = True
            self._failures = 0
            self._trouble = ""
        return self._advance(now)

    def failed_to_start(self, replica_id: str, why: str, now: float) -> list[Effect]:
        """A replica's constructor raised, or its process died before it was ready."""
        replica = self.replicas.pop(replica_id, None)
        if replica is None or replica.state is ReplicaState.STOPPING or self.spec is None:
            return self._advance(now)
        if replica.spec.code_version != self.spec.code_version:
            return self._advance(now)
        self._failures += 1
        self._trouble = why
        self._trigger = DeploymentStatusTrigger.REPLICA_STARTUP_FAILED
        most = self.spec.config.max_constructor_retry_count
        if not self._ran and self._failures >= min(FIRST_TRIES, most):
            return self._give_up(why, now)
        if self._failures >= most:
            self._failed = why
            return self._advance(now)
        if self._ran:
            self._retry_at = now + min(LONGEST_PAUSE, 2.0 ** (self._failures - 1))
        return self._advance(now)

    def _give_up(self, why: str, now: float) -> list[Effect]:
        """The version that was deployed last does not start: the one before goes on, where there is one."""
        self._settled = True
        self._failed = why
        if self._previous is not None:
            self.spec, self._previous = self._previous, None
            self._ran = True
            self._changing = None
            self.wanted = min(self.wanted, self.spec.config.num_replicas or self.wanted)
        return [*self._advance(now), Settled(why)]

    def reconfigured(self, replica_id: str, why: str, now: float) -> list[Effect]:
        """A replica has taken new options; `why` it has not, where it has not."""
        replica = self.replicas.get(replica_id)
        if replica is None or self.spec is None:
            return []
        replica.is_changing = False
        if not why or replica.told != self.spec or replica.state is not ReplicaState.RUNNING:
            return self._advance(now)
        if self._previous is not None:
            return self._give_up(why, now)
        # It does not go back to what it had, either: another one has to take its place.
        self._trouble = why
        return [self._stop(replica), *self._advance(now)]

    def has_no_room(self, replica_id: str, now: float) -> list[Effect]:
        """A replica waits for resources that others have: one of the old version makes room."""
        replica = self.replicas.get(replica_id)
        if replica is None or replica.state is not ReplicaState.STARTING or self.spec is None:
            return []
        replica.waits_for_room = True
        old = self._old()
        return [self._stop(old[0]), *self._publish()] if old else []

    def died(self, replica_id: str, why: str, now: float) -> list[Effect]:
        """A running replica's process has ended."""
        replica = self.replicas.get(replica_id)
        if replica is None:
            return []
        if replica.state is ReplicaState.STARTING:
            return self.failed_to_start(replica_id, why, now)
        del self.replicas[replica_id]
        if replica.state is ReplicaState.RUNNING:
            self._trouble = why
            self._trigger = DeploymentStatusTrigger.HEALTH_CHECK_FAILED
        return self._advance(now)

    def checked(self, replica_id: str, why: str, answers: bool, now: float) -> list[Effect]:
        """A health check ended; `why` is empty where all is well. One that is replaced finishes its requests where it answers at all."""
        replica = self.replicas.get(replica_id)
        if replica is None or replica.state is not ReplicaState.RUNNING:
            return []
        if not why:
            replica.failed_checks = 0
            return []
        replica.failed_checks += 1
        if replica.failed_checks < UNHEALTHY_CHECKS:
            return []
        self._trouble = f"replica {replica_id} failed {UNHEALTHY_CHECKS} health checks in a row: {why}"
        self._trigger = DeploymentStatusTrigger.HEALTH_CHECK_FAILED
        return [self._stop(replica, wait_s=None if answers else 0.0), *self._advance(now)]

    def told_routers(self, replica_id: str, stats: Mapping[str, Any], now: float) -> list[Effect]:
        """A replica has something to tell the user's router."""
        replica = self.replicas.get(replica_id)
        if replica is None:
            return []
        replica.routing_stats = stats
        # They may be anything, such as arrays, which are not to be compared.
        self._published = None
        return self._publish()

    def stopped(self, replica_id: str, now: float) -> list[Effect]:
        """A replica that was to stop is gone."""
        self.replicas.pop(replica_id, None)
        return self._advance(now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: `deadline` has come."""
        return self._advance(now)

    @property
    def deadline(self) -> float | None:
        """When to call `tick`; None for never."""
        return self._retry_at

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted, and nothing of it is left."""
        return self._deleting and not self.replicas

    def record_of(self, replica_id: str) -> ReplicaRecord | None:
        """Returns what the controller after this one has to know of a replica; None for one that never ran, or is gone."""
        replica = self.replicas.get(replica_id)
        if replica is None or replica.actor is None or replica.told is None:
            return None
        ending = replica.state is ReplicaState.STOPPING
        told = replica.told
        return ReplicaRecord(told.id, told.code_version, told.config, replica.rank, replica.place, ending)

    def config_of(self, replica_id: str) -> DeploymentConfig | None:
        """Returns the options that a replica has, or is about to have; None where there is no such replica."""
        replica = self.replicas.get(replica_id)
        return replica.spec.config if replica is not None else None

    def configs(self, is_ending: bool) -> list[DeploymentConfig]:
        """Returns the options of each replica that is about to end, or of each that runs and is not."""
        state = ReplicaState.STOPPING if is_ending else ReplicaState.RUNNING
        return [one.spec.config for one in self.replicas.values() if one.state is state]

    @property
    def has_old_replicas(self) -> bool:
        """Whether replicas of other versions may still work on requests."""
        spec = self.spec
        return spec is not None and any(one.spec.code_version != spec.code_version for one in self.replicas.values())

    # --- the difference ----------------------------------------------------------------------------------------------------------------

    def _of(self, spec: DeploymentSpec) -> list[_Replica]:
        return [
            one
            for one in self.replicas.values()
            if one.spec.code_version == spec.code_version and one.state is not ReplicaState.STOPPING
        ]

    def _old(self) -> list[_Replica]:
        """Running replicas of other versions."""
        assert self.spec is not None
        version = self.spec.code_version
        return [
            one
            for one in self.replicas.values()
            if one.spec.code_version != version and one.state is ReplicaState.RUNNING
        ]

    def _advance(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._deleting or self.spec is None:
            effects += [self._stop(one) for one in self.replicas.values() if one.state is not ReplicaState.STOPPING]
            return effects + self._publish()
        version = self.spec.code_version
        for replica in self.replicas.values():
            # A version that is not wanted any more need not finish starting.
            if replica.state is ReplicaState.STARTING and replica.spec.code_version != version:
                effects.append(self._stop(replica, wait_s=0.0))
        effects += self._changes()
        current, old = self._of(self.spec), self._old()
        running = [one for one in current if one.state is ReplicaState.RUNNING]
        starting = len(current) - len(running)

        for replica in sorted(current, key=lambda one: (one.state is ReplicaState.RUNNING, -one.rank))[
            : max(0, len(current) - self.wanted)
        ]:
            effects.append(self._stop(replica))
        surplus_of_old = len(running) + len(old) - self.wanted
        effects += [self._stop(one) for one in old[: max(0, surplus_of_old)]]
        effects += self._starts(len(current), starting, bool(old), now)
        return effects + self._publish() + self._settle()

    def _changes(self) -> list[Effect]:
        """Replicas of the version that is wanted get its options, each once it has taken those before."""
        assert self.spec is not None
        effects: list[Effect] = []
        for replica in self._of(self.spec):
            replica.spec = self.spec
            if replica.state is ReplicaState.RUNNING and not replica.is_changing and replica.told != self.spec:
                replica.told, replica.is_changing = self.spec, True
                effects.append(ReconfigureReplica(replica.replica_id, self.spec))
        return effects

    def _starts(self, current: int, starting: int, rolling: bool, now: float) -> list[Effect]:
        assert self.spec is not None
        if self._failed and not self._ran:
            return []
        if self._failed and self._failures >= self.spec.config.max_constructor_retry_count:
            return []
        if self._retry_at is not None:
            if now < self._retry_at:
                return []
            self._retry_at = None
        missing = self.wanted - current
        if rolling:
            part = self.spec.config.rolling_update_percentage
            missing = min(missing, max(1, math.ceil(part * self.wanted)) - starting)
        effects: list[Effect] = []
        for _ in range(missing):
            replica = _Replica(self._new_id(), self.spec, self._free_rank(), told=self.spec)
            self.replicas[replica.replica_id] = replica
            effects.append(StartReplica(replica.replica_id, self.spec, replica.rank))
        return effects

    def _free_rank(self) -> int:
        assert self.spec is not None
        taken = {one.rank for one in self._of(self.spec)}
        return next(rank for rank in range(len(taken) + 1) if rank not in taken)

    def _stop(self, replica: _Replica, wait_s: float | None = None) -> StopReplica:
        if wait_s is None:
            running = replica.state is ReplicaState.RUNNING
            wait_s = replica.spec.config.graceful_shutdown_timeout_s if running else 0.0
        replica.state = ReplicaState.STOPPING
        return StopReplica(replica.replica_id, wait_s)

    def _publish(self) -> list[Effect]:
        infos = tuple(
            ReplicaInfo(
                one.replica_id,
                one.actor,
                one.spec.config.max_ongoing_requests,
                one.place,
                routing_stats=one.routing_stats,
            )
            for one in self.replicas.values()
            if one.state is ReplicaState.RUNNING
        )
        gone = ""
        if self._deleting or self.spec is None:
            gone = "it was deleted"
        elif self._failed and not infos:
            gone = f"it does not start: {self._failed}"
        config = self.spec.config if self.spec is not None else None
        scaling = config.autoscaling_config if config is not None else None
        targets = DeploymentTargets(
            infos,
            config.max_queued_requests if config is not None else -1,
            gone,
            scaling.metrics_interval_s if scaling is not None else 0.0,
            config.router_code if config is not None else b"",
        )
        if targets == self._published:
            return []
        self._published = targets
        return [Publish(targets)]

    def _settle(self) -> list[Effect]:
        assert self.spec is not None
        ready = [one for one in self._of(self.spec) if one.state is ReplicaState.RUNNING]
        if len(ready) != self.wanted or self._old() or any(one.is_changing for one in ready):
            return []
        self._previous = None
        if self._changing is not None:
            self._trigger = {
                DeploymentStatus.UPSCALING: DeploymentStatusTrigger.UPSCALE_COMPLETED,
                DeploymentStatus.DOWNSCALING: DeploymentStatusTrigger.DOWNSCALE_COMPLETED,
            }.get(self._changing, DeploymentStatusTrigger.CONFIG_UPDATE_COMPLETED)
            self._changing = None
        if self._settled:
            return []
        self._settled = True
        return [Settled()]

    # --- for people ----------------------------------------------------------------------------------------------------------------------

    def overview(self) -> DeploymentStatusOverview:
        """Returns how it is."""
        states = Counter(one.state for one in self.replicas.values())
        message = self._failed or self._trouble or self._shortage()
        return DeploymentStatusOverview(self._status(states), self._trigger, dict(states), message)

    def _shortage(self) -> str:
        number = sum(one.state is ReplicaState.STARTING and one.waits_for_room for one in self.replicas.values())
        if not number:
            return ""
        assert self.spec is not None
        config = self.spec.config
        asked = config.placement_group_bundles or {
            name: one
            for name, one in actor_options(config).items()
            if name in ("num_cpus", "num_gpus", "memory", "resources")
        }
        which = "a replica waits" if number == 1 else f"{number} replicas wait"
        return f"{which} for resources that others have; each needs {asked}"

    def details(self) -> DeploymentDetails:
        """Returns how it is, with its options and its replicas."""
        assert self.spec is not None
        overview = self.overview()
        return DeploymentDetails(
            name=self.deployment.name,
            status=overview.status,
            status_trigger=overview.status_trigger,
            message=overview.message,
            deployment_config=self.spec.config.model_dump(mode="json", exclude_unset=True),
            target_num_replicas=self.wanted,
            replicas=[
                ReplicaDetails(
                    replica_id=one.replica_id,
                    actor_name=f"SERVE_REPLICA::{one.replica_id}",
                    actor_id=one.actor._actor_id.hex() if one.actor is not None else None,
                    node_id=one.place.node_id or None,
                    state=one.state,
                )
                for one in self.replicas.values()
            ],
        )

    def _status(self, states: Counter[ReplicaState]) -> DeploymentStatus:
        if self._deleting:
            return DeploymentStatus.DELETING
        if self._failed:
            return DeploymentStatus.DEPLOY_FAILED if not self._ran or not states else DeploymentStatus.UNHEALTHY
        if self._changing is not None:
            return self._changing
        missing = states[ReplicaState.RUNNING] < self.wanted
        return DeploymentStatus.UNHEALTHY if missing and self._trouble else DeploymentStatus.HEALTHY
