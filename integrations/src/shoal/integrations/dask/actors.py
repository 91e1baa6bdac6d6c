"""Actors: made, called, found by name and passed on."""

from __future__ import annotations

import os
import threading
from typing import Any

from shoal import cloudpickle
from shoal.engines import DYNAMIC, STREAMING, ActorTemplate, MethodTemplate, ObjectRef
from shoal.exceptions import ActorAlreadyExistsError, PendingCallsLimitExceeded
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.hosts import ActorSpec, Host, MethodSpec, live
from shoal.integrations.dask.keys import NO_RESULT, TaskIds, key_of
from shoal.integrations.dask.options import actor_keywords
from shoal.integrations.dask.references import DaskObjectRef, note_arrival, pack
from shoal.integrations.dask.running_call import Job, running_call
from shoal.integrations.dask.streams import DaskStream
from shoal.integrations.engines.templates import template_data, template_of


class HeldActor:
    """A hold on an actor: a future of its handle's key, which Dask counts, and what shoal's handles know.

    Args:
        actor: id of the actor, hex.
        key: of the handle.
        template: the actor's class and options.
        future: of the key; None for a weak hold (it came by the actor's name, or is the actor's own).
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_lock",
        "_pending",
        "actor",
        "actor_id",
        "dask_future",
        "key",
        "template",
        "weak",
    )

    def __init__(self, actor: str, key: str, template: ActorTemplate, future: Any = None) -> None:
        self.actor = actor
        self.actor_id = bytes.fromhex(actor)
        self.key = key
        self.template = template
        self.dask_future = future
        self.weak = future is None
        self._calls: dict[tuple[int, Job], tuple[MethodTemplate, bytes]] = {}
        self._pending = 0
        self._lock = threading.Lock()

    def call(
        self,
        template: MethodTemplate,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        connection: Connection,
        ids: TaskIds,
        job: Job,
    ) -> list[ObjectRef[Any]] | DaskStream:
        """Calls a method. Raises SerializationError, PendingCallsLimitExceeded."""
        payload, awaited, inside = pack(args, kwargs, connection)
        limited = self.template.options.max_pending_calls > 0
        if limited:
            self._count_call()
        count = template.options.num_returns
        name = f"{self.template.definition.name}.{template.name}"
        task_id = ids.new()
        task = key_of(name, task_id, 0 if count in (1, DYNAMIC) else NO_RESULT)
        keys = [task] if count in (1, STREAMING, DYNAMIC) else [key_of(name, task_id, index) for index in range(count)]
        futures = [connection.future_of(key) for key in keys]
        stream = (
            DaskStream(futures[0], connection, template.options.generator_backpressure > 0)
            if count == STREAMING
            else None
        )
        connection.tell(
            "shoal-call",
            actor=self.actor,
            keys=keys,
            retries=template.options.max_task_retries,
            message={
                "actor": self.actor,
                "task": task,
                "spec": self._spec(template, name, connection, job),
                "payload": payload,
                "awaited": [ref.key for ref in awaited],
                "keys": keys,
            },
        )
        for future in futures:
            connection.hold(future, awaited, inside, self)
        if limited:
            for future in futures[:1]:
                connection.watch(future, self._call_ended)
        return stream if stream is not None else [DaskObjectRef(future, connection) for future in futures]

    def _spec(self, template: MethodTemplate, name: str, connection: Connection, job: Job) -> bytes:
        known = self._calls.get((id(template), job))
        if known is not None:
            return known[1]
        options = template.options
        spec = cloudpickle.dumps(
            MethodSpec(
                template.name,
                options.concurrency_group,
                options.name or name,
                options.num_returns,
                options.max_task_retries,
                options.retry_exceptions,
                options.generator_backpressure,
                job,
                connection.client.id,
            )
        )
        self._calls[id(template), job] = (template, spec)  # the template too, so that its id stays its own
        return spec

    def _count_call(self) -> None:
        limit = self.template.options.max_pending_calls
        with self._lock:
            if self._pending >= limit:
                raise PendingCallsLimitExceeded(
                    f"{self._pending} calls of {self.template.definition.name} wait for answers, and max_pending_calls is {limit}"
                )
            self._pending += 1

    def _call_ended(self) -> None:
        with self._lock:
            self._pending -= 1


class Actors:
    """Makes and finds actors.

    Args:
        connection: of this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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
        future = connection.future_of(handle)
        if options.name:
            found = connection.ask(
                "new_named_actor", actor=actor, life=life, handle=handle, facts=facts, client=connection.client.id
            )
            if found is not None:
                if options.get_if_exists:
                    return self._found(found, strong=True)
                raise ActorAlreadyExistsError(
                    f"there is an actor named {options.name!r} in namespace {facts['namespace']!r} already: choose another "
                    "name, give get_if_exists=True, or use get_actor()"
                )
        spec = cloudpickle.dumps(
            ActorSpec(actor, template.definition.data, template_data(template), job, options.resources.to_floats())
        )
        futures = [ref.dask_future for ref in awaited]
        connection.tell("shoal-new-actor", actor=actor, life=life, handle=handle, facts=facts)
        begun = connection.client.submit(live, spec, payload, *futures, key=life, pure=False, **keywords)
        connection.tell("shoal-life", life=life)
        if inside:
            connection.ask_in_order("contains", outer=[life], inner=[one.key for one in inside])
        del begun  # the head wants it now
        return HeldActor(actor, handle, template, future)

    def named(self, name: str, namespace: str) -> HeldActor:
        """Returns a weak hold on the living actor of a name. Raises ValueError where there is none."""
        found = self._connection.ask("actor_of", namespace=namespace, name=name)
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
