"""Actors: made, called, found by name and passed on."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

from shoal import cloudpickle
from shoal.engines import STREAMING, ActorTemplate, MethodOptions, MethodTemplate, ObjectRef
from shoal.exceptions import ActorAlreadyExistsError, PendingCallsLimitExceeded
from shoal.integrations.dask.actor_calls import ActorSpec, MethodSpec
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.host import Host
from shoal.integrations.dask.hosts import live
from shoal.integrations.dask.keys import TaskIds, keys_of
from shoal.integrations.dask.options import actor_keywords
from shoal.integrations.dask.references import DaskObjectRef, note_arrival, pack
from shoal.integrations.dask.results import Returns
from shoal.integrations.dask.running_call import Job, running_call
from shoal.integrations.dask.streams import DaskStream
from shoal.integrations.engines.templates import template_data, template_of

_KEPT = 1024


@lru_cache(maxsize=_KEPT)
def _spec(method: str, name: str, options: MethodOptions, job: Job, client: str) -> bytes:
    """Returns what a worker needs to know of calls of one method, but their arguments, pickled."""
    returns = Returns(options.num_returns, options.generator_backpressure, client)
    group, retries, retried = options.concurrency_group, options.max_task_retries, options.retry_exceptions
    return cloudpickle.dumps(MethodSpec(method, group, options.name or name, retries, retried, returns, job))


class HeldActor:
    """A hold on an actor: a future of its handle's key, which Dask counts, and what shoal's handles know.

    Args:
        actor: id of the actor, hex.
        key: of the handle.
        template: the actor's class and options.
        future: of the key; None for a weak hold (it came by the actor's name, or is the actor's own).
    """

    __slots__ = ("__weakref__", "_lock", "_pending", "actor", "actor_id", "dask_future", "key", "template", "weak")

    def __init__(self, actor: str, key: str, template: ActorTemplate, future: Any = None) -> None:
        self.actor = actor
        self.actor_id = bytes.fromhex(actor)
        self.key = key
        self.template = template
        self.dask_future = future
        self.weak = future is None
        self._pending = 0
        self._lock = threading.Lock()

    def count_call(self) -> None:
        """One more call waits for its answer. Raises PendingCallsLimitExceeded."""
        limit = self.template.options.max_pending_calls
        with self._lock:
            if self._pending >= limit:
                raise PendingCallsLimitExceeded(
                    f"{self._pending} calls of {self.template.definition.name} wait for answers, and max_pending_calls is {limit}"
                )
            self._pending += 1

    def call_ended(self) -> None:
        """A call has been answered."""
        with self._lock:
            self._pending -= 1


class Actors:
    """Makes, finds and calls actors.

    Args:
        connection: of this process.
        ids: of its tasks.
    """

    def __init__(self, connection: Connection, ids: TaskIds) -> None:
        self._connection = connection
        self._ids = ids

    def create(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any], job: Job) -> HeldActor:
        """Makes an actor. Raises ActorAlreadyExistsError, NotSupportedByEngineError, SerializationError."""
        connection, options, caller = self._connection, template.options, running_call.get()
        keywords = actor_keywords(options, connection)
        payload, awaited, inside = pack(args, kwargs, connection)
        actor = os.urandom(16).hex()
        name = template.definition.name
        life, handle = f"{name}-{actor}", f"{name}-handle-{actor}"
        facts = {
            "class_name": name,
            "name": options.name,
            "namespace": options.namespace or job.namespace,
            "data": template_data(template),
            "detached": options.detached,
            "max_restarts": options.max_restarts,
            "max_task_retries": options.max_task_retries,
            "job": job.job_id.hex(),
            "parent": caller.actor.actor if caller is not None and caller.actor is not None else "",
        }
        spec = cloudpickle.dumps(
            ActorSpec(actor, template.definition.data, template_data(template), job, options.resources.to_floats())
        )
        future = connection.future_of(handle)
        new = {"actor": actor, "life": life, "handle": handle, "facts": facts}
        if not options.name:
            connection.tell("new_actor", **new)
        elif (found := connection.ask("new_actor", **new)) is not None:
            if options.get_if_exists:
                return self._found(found, strong=True)
            raise ActorAlreadyExistsError(
                f"there is an actor named {options.name!r} in namespace {facts['namespace']!r} already: choose another "
                "name, give get_if_exists=True, or use get_actor()"
            )
        futures = [ref.dask_future for ref in awaited]
        begun = connection.client.submit(live, spec, payload, *futures, key=life, pure=False, **keywords)
        connection.tell("life_submitted", life=life)
        if inside:
            connection.ask("contains", outer=[life], inner=[one.key for one in inside])
        del begun  # the head wants it now
        return HeldActor(actor, handle, template, future)

    def call(
        self, actor: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any], job: Job
    ) -> list[ObjectRef[Any]] | DaskStream:
        """Calls a method. Raises SerializationError, PendingCallsLimitExceeded."""
        connection, options = self._connection, template.options
        payload, awaited, inside = pack(args, kwargs, connection)
        name = f"{actor.template.definition.name}.{template.name}"
        spec = _spec(template.name, name, options, job, connection.client.id)
        is_counted = actor.template.options.max_pending_calls > 0
        if is_counted:
            actor.count_call()
        task, keys = keys_of(name, self._ids.new(), options.num_returns)
        futures = [connection.future_of(key) for key in keys]
        for future in futures:
            connection.hold(future, awaited, inside, actor)
        if is_counted:
            connection.watch(futures[0], actor.call_ended)
        results: list[ObjectRef[Any]] | DaskStream = [DaskObjectRef(future, connection) for future in futures]
        if options.num_returns == STREAMING:
            results = DaskStream(task, connection, options.generator_backpressure > 0).begin(futures[0])
        message = {
            "actor": actor.actor,
            "task": task,
            "spec": spec,
            "payload": payload,
            "awaited": [ref.key for ref in awaited],
            "keys": keys,
        }
        connection.tell("call", actor=actor.actor, keys=keys, retries=options.max_task_retries, message=message)
        return results if options.num_returns else []

    def named(self, name: str, namespace: str) -> HeldActor:
        """Returns a weak hold on the living actor of a name. Raises ValueError where there is none."""
        found = self._connection.ask("find_actor", namespace=namespace, name=name)
        if found is None:
            raise ValueError(f"there is no actor named {name!r} in namespace {namespace!r}: it never was, or has ended")
        return self._found(found, strong=False)

    def _found(self, found: Any, strong: bool) -> HeldActor:
        actor, key, data = found
        return HeldActor(actor, key, template_of(bytes(data)), self._connection.borrow(key) if strong else None)

    def rebuild(self, parts: tuple[Any, ...]) -> HeldActor:
        """Makes the hold of `actor_parts` in this process."""
        actor, key, data, weak = parts
        held = HeldActor(actor, key, template_of(data), None if weak else self._connection.borrow(key))
        if not weak:
            note_arrival(key, held)
        return held


def actor_parts(actor: HeldActor) -> tuple[Any, ...]:
    """Returns what another process needs to rebuild a hold."""
    return actor.actor, actor.key, template_data(actor.template), actor.weak


def own_hold(host: Host) -> HeldActor:
    """Returns a weak hold on the actor that a call runs in."""
    return HeldActor(host.actor, f"{host.class_name}-handle-{host.actor}", host.template)
