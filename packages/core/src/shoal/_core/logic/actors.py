"""The directory of actors: each one's life, its names, who watches it. Kept by the head.

A life: *pending creation* (placed on a worker, its constructor runs), *alive*, and *dead*; or *restarting* in between, while lives are left
(`max_restarts`). It ends when it is killed, when its last counted handle is gone and its queued calls are done (unless it is detached),
when its owner dies (unless detached), when its constructor raises, or when its process dies.

    state             event             next
    PENDING_CREATION  started           ALIVE
    PENDING_CREATION  start_failed      DEAD
    PENDING_CREATION  worker_died       RESTARTING or DEAD
    ALIVE             worker_died       RESTARTING or DEAD
    RESTARTING        started           ALIVE
    RESTARTING        start_failed      DEAD
    any but DEAD      kill              RESTARTING or DEAD
    any but DEAD      released          (draining) DEAD
    any but DEAD      owner_gone        DEAD, unless detached
"""

from __future__ import annotations

from collections import deque
from typing import Any

from shoal._core.schema.messages import ActorSpec
from shoal.exceptions import ActorDiedError, ActorUnavailableError, DeathCause, ShoalError

PENDING_CREATION = "PENDING_CREATION"
ALIVE = "ALIVE"
RESTARTING = "RESTARTING"
DEAD = "DEAD"

KEPT_DEAD = 1000


class ActorRecord:
    """One actor over all its lives."""

    __slots__ = (
        "address",
        "death",
        "draining",
        "ended",
        "error",
        "exit_reason",
        "incarnation",
        "pid",
        "repr_name",
        "restarts_left",
        "spec",
        "started",
        "state",
        "story",
        "watchers",
        "worker_id",
    )

    def __init__(self, spec: ActorSpec) -> None:
        self.spec = spec
        self.state = PENDING_CREATION
        self.address = ""
        self.worker_id = b""
        self.pid = 0
        self.incarnation = 0
        self.restarts_left = spec.max_restarts
        self.watchers: list[bytes] = []
        self.error: ShoalError | None = None
        self.death: DeathCause | None = None
        self.exit_reason = ""
        """Set when the process is about to end on purpose."""
        self.draining = False
        self.repr_name = ""
        self.started = 0.0
        self.ended = 0.0
        self.story: list[str] = []


class Place:
    """Effect: find a worker for the actor's next life."""

    __slots__ = ("record",)

    def __init__(self, record: ActorRecord) -> None:
        self.record = record


class StopPlacing:
    """Effect: the actor needs no worker any more."""

    __slots__ = ("actor_id",)

    def __init__(self, actor_id: bytes) -> None:
        self.actor_id = actor_id


class EndWorker:
    """Effect: kill the actor's process now."""

    __slots__ = ("reason", "worker_id")

    def __init__(self, worker_id: bytes, reason: str) -> None:
        self.worker_id = worker_id
        self.reason = reason


class Drain:
    """Effect: let the actor's process end after the calls that have arrived."""

    __slots__ = ("actor_id", "worker_id")

    def __init__(self, actor_id: bytes, worker_id: bytes) -> None:
        self.actor_id = actor_id
        self.worker_id = worker_id


class Publish:
    """Effect: tell these clients what the actor is now."""

    __slots__ = ("record", "watchers")

    def __init__(self, record: ActorRecord, watchers: list[bytes]) -> None:
        self.record = record
        self.watchers = watchers


Effect = Place | StopPlacing | EndWorker | Drain | Publish


class ActorDirectory:
    """All actors of a session."""

    def __init__(self) -> None:
        self.actors: dict[bytes, ActorRecord] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self._by_worker: dict[bytes, bytes] = {}
        self._dead: deque[bytes] = deque()
        self._early_watchers: dict[bytes, list[bytes]] = {}
        self._early_ends: dict[bytes, str] = {}

    # --- events ---------------------------------------------------------------------------------------------------------------

    def named(self, namespace: str, name: str) -> ActorRecord | None:
        """The living actor of that name."""
        actor_id = self._names.get((namespace, name))
        return self.actors[actor_id] if actor_id is not None else None

    def names(self) -> list[tuple[str, str]]:
        """(namespace, name) of the living."""
        return sorted(self._names)

    def create(self, spec: ActorSpec, now: float) -> list[Effect]:
        """A new actor; its name, if any, must be free (see `named`)."""
        record = self.actors[spec.actor_id] = ActorRecord(spec)
        record.started = now
        record.watchers = self._early_watchers.pop(spec.actor_id, [])
        if spec.name:
            self._names[spec.namespace, spec.name] = spec.actor_id
        record.story.append("created")
        early = self._early_ends.pop(spec.actor_id, None)
        if early is not None:
            return self._die(
                record, ActorDiedError(error_msg=f"{_who(record)} {early}.", actor_id=spec.actor_id.hex()), now
            )
        return [Place(record)]

    def placed(self, actor_id: bytes, worker_id: bytes, pid: int) -> bool:
        """A worker was found. Returns False where the actor is not wanted any more."""
        record = self.actors.get(actor_id)
        if record is None or record.state not in (PENDING_CREATION, RESTARTING):
            return False
        record.worker_id = worker_id
        record.pid = pid
        self._by_worker[worker_id] = actor_id
        return True

    def started(self, actor_id: bytes, worker_id: bytes, address: str, repr_name: str) -> list[Effect]:
        """The constructor returned. `worker_id`: who says so; the word of an earlier life that is known to be over may come late."""
        record = self.actors.get(actor_id)
        if record is None or record.state == DEAD or record.worker_id != worker_id:
            return []
        record.state = ALIVE
        record.address = address
        record.repr_name = repr_name
        record.story.append(f"alive (life {record.incarnation})")
        effects: list[Effect] = [Publish(record, list(record.watchers))]
        if record.draining:
            effects.append(Drain(actor_id, record.worker_id))
        return effects

    def start_failed(
        self, actor_id: bytes, error: ShoalError, now: float, worker_id: bytes | None = None
    ) -> list[Effect]:
        """The constructor raised in `worker_id` (perhaps in an earlier life that is known to be over), or, with None, the actor can
        never be placed."""
        record = self.actors.get(actor_id)
        if record is None or record.state == DEAD:
            return []
        record.story.append("its constructor failed")
        if worker_id is None or worker_id == record.worker_id:
            return self._die(record, error, now)
        return self._end(record, error, "the constructor of its actor raised in an earlier life", now)

    def exiting(self, actor_id: bytes, reason: str) -> None:
        """The process is about to end on purpose: no restart."""
        record = self.actors.get(actor_id)
        if record is not None and not record.exit_reason:
            record.exit_reason = reason

    def worker_died(self, worker_id: bytes, death: DeathCause, now: float) -> list[Effect]:
        """The process is gone."""
        actor_id = self._by_worker.pop(worker_id, None)
        if actor_id is None:
            return []
        record = self.actors[actor_id]
        record.death = death
        if record.state == DEAD:
            return []
        if record.exit_reason:
            message = f"{_who(record)} has ended: {record.exit_reason}."
            return self._die(record, ActorDiedError(error_msg=message, actor_id=actor_id.hex(), death=None), now)
        if record.restarts_left != 0:
            return self._restart(record, death)
        message = f"{_who(record)} died while calls to it were open or still came"
        if record.spec.max_restarts > 0:
            message += f" (all {record.spec.max_restarts} restarts are used up)"
        return self._die(
            record,
            ActorDiedError(
                error_msg=message + ":", actor_id=actor_id.hex(), actor_name=record.spec.class_name, death=death
            ),
            now,
        )

    def kill(self, actor_id: bytes, no_restart: bool, now: float) -> list[Effect]:
        """`shoal.kill`."""
        record = self.actors.get(actor_id)
        if record is None:
            self._early_ends[actor_id] = "was killed by shoal.kill"
            return []
        if record.state == DEAD:
            return []
        reason = "shoal.kill was called on its actor"
        if not no_restart and record.restarts_left != 0:
            return [EndWorker(record.worker_id, reason)] if record.worker_id else []
        error = ActorDiedError(
            error_msg=f"{_who(record)} was killed by shoal.kill.",
            actor_id=actor_id.hex(),
            actor_name=record.spec.class_name,
        )
        return self._end(record, error, reason, now)

    def released(self, actor_id: bytes, now: float) -> list[Effect]:
        """No counted handle is left."""
        record = self.actors.get(actor_id)
        if record is None:
            self._early_ends[actor_id] = "ended because no handle to it is left"
            return []
        if record.state == DEAD or record.spec.detached:
            return []
        record.draining = True
        if record.state == ALIVE:
            return [Drain(actor_id, record.worker_id)]
        if record.worker_id:
            return []
        error = ActorDiedError(
            error_msg=f"{_who(record)} ended because no handle to it is left.", actor_id=actor_id.hex()
        )
        return self._end(record, error, "no handle is left", now)

    def client_gone(self, worker_id: bytes, now: float) -> list[Effect]:
        """A process died: the actors that it owned end, and it watches nothing any more."""
        effects: list[Effect] = []
        for record in list(self.actors.values()):
            if worker_id in record.watchers:
                record.watchers.remove(worker_id)
            if record.spec.owner_id == worker_id and not record.spec.detached and record.state != DEAD:
                error = ActorDiedError(
                    error_msg=f"{_who(record)} ended because the process that created it has ended; use lifetime='detached' to let "
                    "an actor outlive its creator.",
                    actor_id=record.spec.actor_id.hex(),
                )
                effects += self._end(record, error, "its owner has ended", now)
        return effects

    def watch(self, actor_id: bytes, client: bytes) -> list[Effect]:
        """A client wants to know what the actor is, now and later."""
        record = self.actors.get(actor_id)
        if record is None:
            self._early_watchers.setdefault(actor_id, []).append(client)
            return []
        if client not in record.watchers:
            record.watchers.append(client)
        if record.state == PENDING_CREATION:
            return []
        return [Publish(record, [client])]

    # --- decisions ----------------------------------------------------------------------------------------------------------------

    def _restart(self, record: ActorRecord, death: DeathCause) -> list[Effect]:
        if record.restarts_left > 0:
            record.restarts_left -= 1
        record.state = RESTARTING
        record.incarnation += 1
        record.worker_id = b""
        record.address = ""
        record.error = ActorUnavailableError(
            f"{_who(record)} died and restarts (life {record.incarnation}). {death.explain()}", record.spec.actor_id
        )
        record.story.append(f"restarting: {death.summary()}")
        return [Publish(record, list(record.watchers)), Place(record)]

    def _end(self, record: ActorRecord, error: ShoalError, reason: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if record.worker_id:
            effects.append(EndWorker(record.worker_id, reason))
        else:
            effects.append(StopPlacing(record.spec.actor_id))
        return effects + self._die(record, error, now)

    def _die(self, record: ActorRecord, error: ShoalError, now: float) -> list[Effect]:
        spec = record.spec
        record.state = DEAD
        record.error = error
        record.ended = now
        record.story.append(f"dead: {error}")
        if spec.name and self._names.get((spec.namespace, spec.name)) == spec.actor_id:
            del self._names[spec.namespace, spec.name]
        # What only a next life would need is let go.
        spec.class_data, spec.args, spec.deps = b"", b"", []
        self._dead.append(spec.actor_id)
        if len(self._dead) > KEPT_DEAD:
            self.actors.pop(self._dead.popleft(), None)
        return [Publish(record, list(record.watchers))]

    # --- looking inside --------------------------------------------------------------------------------------------------------------

    def rows(self, node_id: str) -> list[dict[str, Any]]:
        """One row an actor, in the keys of `shoal.util.state.ActorState`."""
        rows = []
        for actor_id, record in self.actors.items():
            spec = record.spec
            rows.append(
                {
                    "actor_id": actor_id.hex(),
                    "class_name": spec.class_name,
                    "state": record.state,
                    "job_id": spec.job_id.hex(),
                    "name": spec.name,
                    "node_id": node_id if record.worker_id else None,
                    "pid": record.pid or None,
                    "ray_namespace": spec.namespace,
                    "serialized_runtime_env": spec.environment.decode() or "{}",
                    "required_resources": {
                        name: amount / 10000 for name, amount in spec.scheduling_class.resources.items()
                    },
                    "death_cause": str(record.error) if record.state == DEAD else None,
                    "is_detached": spec.detached,
                    "placement_group_id": spec.scheduling_class.placement_group_id.hex() or None,
                    "repr_name": record.repr_name,
                    "num_restarts": record.incarnation,
                    "num_restarts_due_to_lineage_reconstruction": 0,
                    "num_restarts_due_to_node_preemption": 0,
                    "call_site": None,
                    "label_selector": {},
                }
            )
        return rows

    def story(self, actor_id: bytes) -> str:
        """Says what has become of one actor, for people."""
        record = self.actors.get(actor_id)
        if record is None:
            return f"actor {actor_id.hex()}: unknown"
        return f"{_who(record)}: " + ", then ".join(record.story)

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for key, actor_id in self._names.items():
            record = self.actors[actor_id]
            assert record.state != DEAD, f"the name {key} belongs to a dead actor"
            assert (record.spec.namespace, record.spec.name) == key
        for record in self.actors.values():
            assert record.state in (PENDING_CREATION, ALIVE, RESTARTING, DEAD)
            if record.state == ALIVE:
                assert record.worker_id and record.address, f"{_who(record)} is alive nowhere"
            if record.state == DEAD:
                assert record.error is not None, f"{_who(record)} is dead without a cause"


def _who(record: ActorRecord) -> str:
    name = f" named {record.spec.name!r}" if record.spec.name else ""
    return f"Actor {record.spec.class_name}{name} ({record.spec.actor_id.hex()})"
