"""The head: what a session has once, however many machines: actors and their names, placement groups, key-values, metrics, questions.

It speaks in messages only: `send(client, message)` to clients, `to_node(message)` to the node that shares its process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shoal._core.logic.actors import ActorDirectory, Drain, Effect, EndWorker, Place, Publish, StopPlacing
from shoal._core.process.group_keeper import GroupKeeper
from shoal._core.process.key_values import KeyValues
from shoal._core.process.metric_registry import MetricRegistry
from shoal._core.schema.messages import (
    ActorChanged,
    ActorExiting,
    ActorPlaced,
    ActorRegistered,
    ActorStarted,
    ActorUnplaceable,
    Answer,
    ClientEnded,
    CreateActor,
    DrainActor,
    Hello,
    KillActor,
    KillWorker,
    MetricRecorded,
    Notice,
    PlaceActor,
    Query,
    ReleaseActor,
    StopPlacingActor,
    WatchActor,
)
from shoal._core.system.task_errors import dump_error, load_cause, load_error
from shoal.exceptions import ActorDiedError, ShoalError


class Head:
    """Served by the daemon's loop; single-threaded."""

    def __init__(
        self,
        node_id: bytes,
        send: Callable[[bytes, Any], None],
        to_node: Callable[[Any], None],
        joinable: bool,
    ) -> None:
        self._node_id = node_id
        self._send = send
        self._to_node = to_node
        self.actors = ActorDirectory()
        self.key_values = KeyValues()
        self.metrics = MetricRegistry()
        self._clients: dict[bytes, Hello] = {}
        self._groups = GroupKeeper(send, to_node, joinable)

    # --- clients ---------------------------------------------------------------------------------------------------------------

    def client_joined(self, hello: Hello) -> None:
        self._clients[hello.worker_id] = hello

    def _driver_of(self, client: bytes) -> bytes:
        """The driver of the client's job: what it creates ends with that."""
        hello = self._clients.get(client)
        for other in self._clients.values():
            if hello is not None and other.role == "driver" and other.job_id == hello.job_id:
                return other.worker_id
        return client

    def handle(self, client: bytes, message: Any) -> bool:
        """Takes a client's message. Returns False for what is not the head's."""
        kind = type(message)
        if kind is WatchActor:
            self._carry_out(self.actors.watch(message.actor_id, client))
        elif kind is CreateActor:
            self._create(client, message)
        elif kind is KillActor:
            self._carry_out(self.actors.kill(message.actor_id, message.no_restart, time.time()))
        elif kind is ReleaseActor:
            self._carry_out(self.actors.released(message.actor_id, time.time()))
        elif kind is ActorStarted:
            self._started(client, message)
        elif kind is ActorExiting:
            self.actors.exiting(message.actor_id, message.reason)
        elif kind is MetricRecorded:
            self._say_to_drivers(self.metrics.record(client, message))
        elif kind is Query and message.what == "placement_group_ready":
            self._groups.answer_when_ready(client, message.request_id, message.arguments[0])
        elif kind is Query and message.what == "create_placement_group":
            self._answer(client, message, lambda *rest: self._groups.create(self._driver_of(client), *rest))
        elif kind is Query and message.what in _ANSWERS:
            self._answer(client, message, lambda *rest: _ANSWERS[message.what](self, *rest))
        else:
            return False
        return True

    def _answer(self, client: bytes, query: Query, function: Callable[..., Any]) -> None:
        try:
            value = function(*query.arguments)
        except Exception as error:
            self._send(client, Answer(query.request_id, None, dump_error(error)))
        else:
            self._send(client, Answer(query.request_id, value))

    def _say_to_drivers(self, text: str) -> None:
        if text:
            for hello in self._clients.values():
                if hello.role == "driver":
                    self._send(hello.worker_id, Notice(text))

    def from_node(self, message: Any) -> None:
        """Takes what a node says."""
        kind = type(message)
        if self._groups.from_node(message):
            return
        if kind is ActorPlaced:
            if not self.actors.placed(message.actor_id, message.worker_id, message.pid):
                self._to_node(KillWorker(message.worker_id, "its actor is not wanted any more"))
        elif kind is ActorUnplaceable:
            error = load_error(message.error)
            assert isinstance(error, ShoalError)
            self._carry_out(self.actors.start_failed(message.actor_id, error, time.time()))
        elif kind is ClientEnded:
            self._clients.pop(message.worker_id, None)
            self._groups.creator_gone(message.worker_id)
            self.metrics.process_ended(message.worker_id)
            self._carry_out(self.actors.worker_died(message.worker_id, load_cause(message.cause), time.time()))
            self._carry_out(self.actors.client_gone(message.worker_id, time.time()))

    def _create(self, client: bytes, message: CreateActor) -> None:
        spec = message.spec
        if spec.name:
            existing = self.actors.named(spec.namespace, spec.name)
            if existing is not None:
                self._send(client, ActorRegistered(message.request_id, True, existing.spec.handle_data))
                return
            self._send(client, ActorRegistered(message.request_id, False, spec.handle_data))
        self._carry_out(self.actors.create(spec, time.time()))

    def _started(self, client: bytes, message: ActorStarted) -> None:
        record = self.actors.actors.get(message.actor_id)
        if record is None:
            return
        if message.error:
            cause = load_error(message.error)
            error = ActorDiedError(cause, actor_id=message.actor_id.hex(), actor_name=record.spec.class_name)
            self._carry_out(self.actors.start_failed(message.actor_id, error, time.time(), client))
        else:
            hello = self._clients.get(client)
            address = hello.address if hello is not None else ""
            self._carry_out(self.actors.started(message.actor_id, client, address, message.repr_name))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                record = effect.record
                error = dump_error(record.error) if record.error is not None else b""
                changed = ActorChanged(record.spec.actor_id, record.state, record.address, record.incarnation, error)
                for watcher in effect.watchers:
                    self._send(watcher, changed)
            elif isinstance(effect, Place):
                self._to_node(PlaceActor(effect.record.spec, effect.record.incarnation))
            elif isinstance(effect, EndWorker):
                self._to_node(KillWorker(effect.worker_id, effect.reason))
            elif isinstance(effect, Drain):
                self._send(effect.worker_id, DrainActor(effect.actor_id))
            elif isinstance(effect, StopPlacing):
                self._to_node(StopPlacingActor(effect.actor_id))

    def rows(self, what: str) -> list[dict[str, Any]]:
        """Rows of what only the head knows, for the state API."""
        if what == "actors":
            return self.actors.rows(self._node_id.hex())
        if what == "placement_groups":
            return self._groups.rows()
        if what == "metrics":
            return self.metrics.rows()
        raise ValueError(f"there is no list of {what!r}")

    # --- answers ---------------------------------------------------------------------------------------------------------------

    def _named_actor(self, name: str, namespace: str) -> bytes:
        record = self.actors.named(namespace, name)
        if record is None:
            others = [f"{name!r} in {space!r}" for space, name in self.actors.names()]
            known = f" Named actors: {', '.join(others[:10])}." if others else " There are no named actors."
            raise ValueError(
                f"there is no actor named {name!r} in namespace {namespace!r} (it was not created yet, has ended, or "
                f"lives in another namespace).{known}"
            )
        return record.spec.handle_data

    def _named_actors(self) -> list[tuple[str, str]]:
        return self.actors.names()

    def _remove_placement_group(self, group_id: bytes) -> None:
        self._groups.remove(group_id)

    def _placement_groups(self) -> list[dict[str, Any]]:
        return self._groups.rows()

    def _kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        return self.key_values.put(namespace, key, value, overwrite)

    def _kv_get(self, namespace: str, key: bytes) -> bytes | None:
        return self.key_values.get(namespace, key)

    def _kv_delete(self, namespace: str, key: bytes) -> bool:
        return self.key_values.delete(namespace, key)

    def _kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        return self.key_values.keys(namespace, prefix)


_ANSWERS: dict[str, Callable[..., Any]] = {
    "named_actor": Head._named_actor,
    "named_actors": Head._named_actors,
    "remove_placement_group": Head._remove_placement_group,
    "placement_groups": Head._placement_groups,
    "kv_put": Head._kv_put,
    "kv_get": Head._kv_get,
    "kv_delete": Head._kv_delete,
    "kv_keys": Head._kv_keys,
}
