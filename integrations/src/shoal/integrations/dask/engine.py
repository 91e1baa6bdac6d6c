"""The dask engine: what shoal's API asks, of Dask and of what `head` adds to its scheduler.

Dask places tasks, counts futures, moves and spills values, and runs tasks again. What differs from shoal's own engine follows from that:
tasks and actors of a worker are threads of one process, a task that runs cannot be stopped, and a request that nobody can meet waits for a
worker that can.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal.engines import ObjectRef
from shoal.integrations.dask import context
from shoal.integrations.dask.actors import Actors, HeldActor, actor_parts, own_hold
from shoal.integrations.dask.connection import PENDING, Connection, Countdown
from shoal.integrations.dask.head import NAME, Head
from shoal.integrations.dask.host import ActorExit
from shoal.integrations.dask.hosts import Hosts
from shoal.integrations.dask.keys import NO_RESULT, TaskIds, host_of, key_of, node_id_of
from shoal.integrations.dask.limits import DASK
from shoal.integrations.dask.references import DaskObjectRef, held_refs, values_of
from shoal.integrations.dask.results import Inside, packed
from shoal.integrations.dask.running_call import Job, RunningCall, running_call
from shoal.integrations.dask.streams import DaskStream, Producers
from shoal.integrations.dask.tasks import Tasks

if TYPE_CHECKING:
    from distributed import Client, Worker

    from shoal.engines import ActorTemplate, ExecutionContext, MethodTemplate, SessionInfo, TaskTemplate


class DaskEngine:
    """A client of Dask's as a session of shoal (see `shoal.engines.Engine`).

    Args:
        connection: of this process.
        job: the driver, or what stands for it in workers where none calls.
        owned: what ends with the session: a client, a cluster.
    """

    name = DASK.engine
    capabilities = DASK.capabilities

    def __init__(self, connection: Connection, job: Job, owned: Sequence[Any] = ()) -> None:
        self.connection = connection
        self.hosts = Hosts(connection)
        self.producers = Producers(connection)
        self._job = job
        self._owned = owned
        self._ids = TaskIds()
        self._tasks = Tasks(connection, self._ids)
        self._actors = Actors(connection, self._ids)

    @classmethod
    def in_driver(cls, client: Client, namespace: str | None, owned: Sequence[Any]) -> DaskEngine:
        """Begins a session of a program's."""
        client.register_plugin(Head(), name=NAME)
        job = Job(os.urandom(4), namespace or uuid.uuid4().hex)
        engine = cls(Connection(client), job, owned)
        engine.connection.ask("hello", job=job.job_id.hex())
        return engine

    @classmethod
    def in_worker(cls, client: Client, worker: Worker) -> DaskEngine:
        """Begins the session of a worker of Dask's."""
        return cls(Connection(client, worker), Job(bytes(4), ""))

    @property
    def job(self) -> Job:
        """The driver for which the caller runs."""
        call = running_call.get()
        return call.job if call is not None else self._job

    @property
    def session(self) -> SessionInfo:
        return context.session_info(self.connection, self.job)

    def context(self) -> ExecutionContext:
        return context.execution_context(is_driver=self.connection.worker is None)

    # --- tasks and actors -------------------------------------------------------------------------------------------------------

    def submit_task(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | DaskStream:
        return self._tasks.submit(template, args, kwargs, self.job)  # type: ignore[return-value]

    def create_actor(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        return self._actors.create(template, args, kwargs, self.job)

    def call_actor(
        self, actor: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | DaskStream:
        return self._actors.call(actor, template, args, kwargs, self.job)

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        self.connection.tell("kill", actor=actor_id.hex(), no_restart=no_restart)

    def named_actor(self, name: str, namespace: str | None) -> HeldActor:
        return self._actors.named(name, namespace or self.job.namespace)

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        own = self.job.namespace
        names = self.connection.ask("names")
        return [(space, name) for space, name in names if all_namespaces or space == own]

    def actor_parts(self, actor: HeldActor) -> tuple[Any, ...]:
        return actor_parts(actor)

    def rebuild_actor(self, parts: tuple[Any, ...]) -> HeldActor:
        return self._actors.rebuild(parts)

    def current_actor(self) -> HeldActor:
        call = running_call.get()
        if call is None or call.actor is None:
            raise RuntimeError("current_actor is a handle to the actor that asks, and was asked outside of actors")
        return own_hold(call.actor)

    def exit_actor(self) -> None:
        call = running_call.get()
        if call is None or call.actor is None:
            raise TypeError("exit_actor() ends the actor that calls it, and was called outside of actors")
        raise ActorExit

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        """Cancels what has not begun, and calls of async actors. Raises NotSupportedByEngineError for a task that runs."""
        connection, future = self.connection, ref.dask_future
        if future.status not in PENDING:
            return
        keys = [ref.key]
        if not isinstance(ref, DaskStream):
            keys.append(key_of(ref.key.rpartition("-")[0], ref.task_id().binary(), NO_RESULT))
        for key, (worker, is_actor_call) in zip(keys, connection.ask("how_far", keys=keys), strict=True):
            if worker and connection.client.run(_is_running, key, workers=[worker])[worker]:
                raise DASK.refusal(
                    "force_cancel" if force else "cancel_running", f"cancelling {key.rpartition('-')[0]}, which runs,"
                )
            if force and is_actor_call:
                raise ValueError("force=True is for tasks; shoal.kill() ends actors")
        connection.ask("cancel", keys=keys)

    # --- objects ----------------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        connection = self.connection
        data, inside = packed(value)
        key = key_of("shoal_object", self._ids.new())
        futures = connection.client.sync(
            connection.client._scatter, {key: data}, hash=False, local_worker=connection.worker
        )
        if inside:
            connection.ask("contains", outer=[key], inner=[one.key for one in inside])
        return DaskObjectRef(futures[key], connection)

    def settle(self, call: RunningCall, outer: list[str], inside: Inside) -> None:
        """Sees to it, before a call ends, that what its results refer to is kept, and what it has kept of its arguments."""
        if inside:
            self.connection.ask("contains", outer=outer, inner=[one.key for one in inside])
            inside.clear()
        if call.arrived and (kept := call.kept()):
            self.connection.ask("desire", keys=kept)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        return values_of(self.connection, refs, timeout)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None, fetch_local: bool
    ) -> list[int]:
        held_refs(refs, self.connection)
        return self.wait_with_streams(refs, num_returns, timeout)

    def wait_with_streams(self, waitables: Sequence[Any], num_returns: int, timeout: float | None) -> list[int]:
        countdown = Countdown(num_returns)
        for one in waitables:
            if isinstance(one, DaskStream):
                one.on_next(countdown.step)
            else:
                self.connection.watch(one.dask_future, countdown.step)
        try:
            self.connection.wait_for(countdown.event, timeout)
        finally:
            for one in waitables:
                if isinstance(one, DaskStream):
                    one.forget(countdown.step)
                else:
                    self.connection.forget(one.dask_future, countdown.step)
        ready = [
            position
            for position, one in enumerate(waitables)
            if (one.next_is_ready() if isinstance(one, DaskStream) else one.dask_future.status not in PENDING)
        ]
        return ready[:num_returns]

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None:
        self.connection.ask("free", keys=[future.key for future in held_refs(refs, self.connection)])

    def object_locations(self, refs: Sequence[ObjectRef[Any]]) -> list[dict[str, Any]]:
        places = self.connection.ask("where_is", keys=[future.key for future in held_refs(refs, self.connection)])
        return [
            {
                "node_ids": sorted({node_id_of(host_of(one)).hex() for one in addresses}),
                "object_size": size,
                "did_spill": False,
            }
            for addresses, size in places
        ]

    # --- the cluster ------------------------------------------------------------------------------------------------------------

    def total_resources(self) -> dict[str, float]:
        return _sums([_resources(worker) for worker in self.connection.ask("workers")])

    def available_resources(self) -> dict[str, float]:
        return _sums([_free_resources(worker) for worker in self.connection.ask("workers")])

    def nodes(self) -> list[dict[str, Any]]:
        """One row for each machine that has workers."""
        machines: dict[str, list[dict[str, float]]] = {}
        for worker in self.connection.ask("workers"):
            machines.setdefault(worker["host"], []).append(_resources(worker))
        return [
            {
                "NodeID": node_id_of(host).hex(),
                "Alive": True,
                "NodeManagerAddress": host,
                "NodeManagerHostname": host,
                "NodeName": host,
                "Resources": _sums(resources),
                "Labels": {},
            }
            for host, resources in machines.items()
        ]

    def create_placement_group(
        self,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        label_selectors: list[dict[str, str]],
    ) -> bytes:
        raise DASK.refusal("placement_groups", "placement_group()")

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        raise DASK.refusal("placement_groups", "PlacementGroup.ready()")

    def remove_placement_group(self, group_id: bytes) -> None:
        raise DASK.refusal("placement_groups", "remove_placement_group()")

    def placement_groups(self) -> list[dict[str, Any]]:
        return []

    def kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        existed: bool = self.connection.ask(
            "kv", action="put", namespace=namespace, key=key, value=value, overwrite=overwrite
        )
        return existed

    def kv_get(self, namespace: str, key: bytes) -> bytes | None:
        value: bytes | None = self.connection.ask("kv", action="get", namespace=namespace, key=key)
        return value

    def kv_delete(self, namespace: str, key: bytes) -> bool:
        return bool(self.connection.ask("kv", action="delete", namespace=namespace, key=key))

    def kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        return list(self.connection.ask("kv", action="keys", namespace=namespace, key=prefix))

    # --- looking inside ---------------------------------------------------------------------------------------------------------

    def state(self, what: str) -> list[dict[str, Any]]:
        raise DASK.refusal("state", f"the list of {what}")

    def timeline(self) -> list[dict[str, Any]]:
        raise DASK.refusal("state", "timeline()")

    def record_metric(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None:
        """Nothing: Dask keeps no metrics of programs. (Libraries record some; that must not stop them.)"""

    def preload(self, modules: Sequence[str]) -> None:
        """Nothing: Dask's workers import what they need when they need it."""

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Ends the program's actors and leaves Dask, or ends the cluster that `init` has started."""
        connection = self.connection
        if connection.client.status == "running":
            connection.tell("job_ended", job=self._job.job_id.hex())
        connection.close()
        for one in self._owned:
            one.close()


def _is_running(key: str, dask_worker: Any) -> bool:
    """Whether a task has begun in a worker. (Dask runs it there.)"""
    task = dask_worker.state.tasks.get(key)
    return task is not None and task.state in ("executing", "long-running")


def _resources(worker: dict[str, Any]) -> dict[str, float]:
    return {**worker["resources"], "CPU": float(worker["threads"]), "memory": float(worker["memory"])}


def _free_resources(worker: dict[str, Any]) -> dict[str, float]:
    used = worker["used"]
    others = {name: amount - used.get(name, 0) for name, amount in worker["resources"].items()}
    free_threads = float(worker["threads"] - worker["threads_used"])
    cpus = min(free_threads, others.pop("CPU", free_threads))
    return {**others, "CPU": cpus, "memory": float(worker["memory"])}


def _sums(amounts: list[dict[str, float]]) -> dict[str, float]:
    names = {name for one in amounts for name in one}
    return {name: sum(one.get(name, 0) for one in amounts) for name in sorted(names)}
