"""The inline engine: tasks, actors and objects inside this process (`init(local_mode=True)`).

One thread a task, of which one at a time runs (see `turns`); arguments and results are copied, so nothing is shared by accident.
Tasks run when their caller waits (`get`, `wait`, `await`) or ends, in an order that the seed chooses: breakpoints, coverage and
`print` work as in any program, and the same seed gives the same run.

What differs from processes of their own: a task that computes without waiting is not interrupted by another (only the driver's
time-outs, Ctrl-C and cancellation get through); classes, and modules with their globals, are those of this process; memory is not
limited; objects outlive the actor that made them. A wait that nothing can end raises DeadlockError, unless the user's own threads could.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal._core.process.deadlocks import own_later_call
from shoal._core.process.inline import rows
from shoal._core.process.inline.actor import HeldActor
from shoal._core.process.inline.actors import Actors
from shoal._core.process.inline.admission import Admission
from shoal._core.process.inline.call_book import CallBook
from shoal._core.process.inline.deadlock import DeadlockReport
from shoal._core.process.inline.groups import Groups
from shoal._core.process.inline.node_resources import node_resources
from shoal._core.process.inline.runner import ActorExit, Runner
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.sequential_life import SequentialLife
from shoal._core.process.inline.session import ENDED, InlineSession
from shoal._core.process.inline.turns import Turns
from shoal._core.process.key_values import KeyValues
from shoal._core.process.metric_registry import MetricRegistry
from shoal._core.process.object_ref import set_current_home
from shoal._core.schema.engine_limits import INLINE
from shoal._core.schema.ids import new_id, new_job_id, task_of
from shoal._core.schema.messages import MetricRecorded
from shoal._core.schema.session import ExecutionContext, SessionInfo
from shoal.exceptions import (
    SessionEndedError,
    ShoalError,
    TaskPlacementGroupRemoved,
)

if TYPE_CHECKING:
    from shoal._core.process.inline.calls import Call
    from shoal._core.process.inline.streams import InlineStream
    from shoal._core.process.object_ref import ObjectRef
    from shoal._core.schema.definitions import ActorTemplate, MethodTemplate, TaskTemplate
    from shoal._core.schema.session_request import SessionRequest

NODE_IP = "127.0.0.1"
LAST_SECONDS = 2.0
"""When the session ends, code of tasks has so long to end."""


class InlineEngine:
    """One session in this process (see `api/engine.Engine`).

    Args:
        request: what `init` was asked for.

    Raises:
        NotSupportedByEngineError: for a runtime environment.
    """

    name = "inline"
    capabilities = INLINE.capabilities

    def __init__(self, request: SessionRequest) -> None:
        if request.environment is not None:
            self._refuse_environment("init(runtime_env=...)")
        self._started = time.time()
        self._info = SessionInfo(
            engine=self.name,
            address="local",
            session_dir="",
            node_id=new_id(),
            node_ip=NODE_IP,
            job_id=new_job_id(),
            worker_id=new_id(),
            namespace=request.namespace or f"anonymous-{os.urandom(8).hex()}",
            joinable=False,
        )
        self._turns = Turns(request.seed or 0, lambda: self._deadlock.error())
        self._admission = Admission(self._info.node_id, node_resources(request, NODE_IP), dict(request.labels))
        self._groups = Groups(self._admission)
        self._inline = InlineSession(
            self._turns,
            self._admission,
            self._info.worker_id,
            lambda handle: self._actors.unheld(handle),
            lambda object_id: self._book.describe_object(object_id),
        )
        runner = Runner(self._inline)
        self._book = CallBook(self._inline, self._admission, self._groups, runner)
        self._actors = Actors(
            self._inline, self._admission, self._groups, runner, self._book, self._info.job_id, self._info.namespace
        )
        self._book.actors = self._actors
        self._deadlock = DeadlockReport(self._turns, self._book, self._actors, self._admission, self._groups)
        self._key_values = KeyValues()
        self._metrics = MetricRegistry()
        self._driver_context = ExecutionContext(task_id=self._inline.task_ids.next())
        set_current_home(self._inline)

    @property
    def session(self) -> SessionInfo:
        return self._info

    def context(self) -> ExecutionContext:
        self._inline.poll()
        call = current_call.get()
        if call is None:
            return self._driver_context
        if call.context is None:
            call.context = self._context_of(call)
        return call.context

    def _context_of(self, call: Call) -> ExecutionContext:
        actor = call.actor
        grant = call.grant
        if grant is None and actor is not None and actor.life is not None:
            grant = actor.life.grant
        options = call.options if actor is None else actor.template.options
        return ExecutionContext(
            task_id=call.task_id,
            task_name=call.name,
            function_name=call.function_name,
            actor_id=actor.id if actor is not None else b"",
            actor_name=actor.template.options.name if actor is not None else "",
            attempt=call.attempt,
            is_driver=False,
            in_async_actor=actor is not None and actor.template.is_async,
            canceled=call.canceled,
            was_reconstructed=actor is not None and actor.record.incarnation > 0,
            resources=options.resources.to_floats(),  # type: ignore[union-attr]
            gpu_ids=grant.gpu_ids if grant is not None else [],
            placement_group_id=grant.group_id if grant is not None else b"",
            capture_child_tasks=getattr(options.strategy, "capture_children", False),  # type: ignore[union-attr]
        )

    # --- tasks and actors -------------------------------------------------------------------------------------------------------

    def submit_task(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | InlineStream:
        if template.options.environment is not None:
            self._refuse_environment("runtime_env=")
        return self._book.submit(template, args, kwargs)

    def create_actor(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        if template.options.environment is not None:
            self._refuse_environment("runtime_env=")
        return self._actors.create(template, args, kwargs)

    def _refuse_environment(self, what: str) -> None:
        raise INLINE.refusal("runtime_env", what)

    def call_actor(
        self, actor: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | InlineStream:
        return self._actors.call(actor, template, args, kwargs)

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        with self._turns:
            self._actors.kill(actor_id, no_restart=no_restart)
        self._inline.check_not_ended()

    def named_actor(self, name: str, namespace: str | None) -> HeldActor:
        self._inline.let_others_run()
        return self._actors.named(name, namespace)

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        self._inline.let_others_run()
        with self._turns:
            names = self._actors.directory.names()
        return [(space, name) for space, name in names if all_namespaces or space == self._info.namespace]

    def current_actor(self) -> HeldActor:
        call = current_call.get()
        if call is None or call.actor is None:
            raise RuntimeError("current_actor is a handle to the actor that asks, and was asked outside of actors")
        return HeldActor(call.actor, self._inline, weak=True)

    def actor_parts(self, actor: HeldActor) -> tuple[Any, ...]:
        return self._actors.parts(actor)

    def rebuild_actor(self, parts: tuple[Any, ...]) -> HeldActor:
        return self._actors.rebuild(parts)

    def exit_actor(self) -> None:
        call = current_call.get()
        if call is None or call.actor is None:
            raise TypeError("exit_actor() was called outside of an actor; it ends the actor whose method calls it")
        raise ActorExit("exit_actor() was called")

    def cancel(self, ref: ObjectRef[Any] | InlineStream, force: bool, recursive: bool) -> None:
        self._book.cancel(ref, force=force, recursive=recursive)

    # --- objects ----------------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        return self._inline.put(value)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        caller = current_call.get()
        if caller is not None and caller.actor is not None and isinstance(caller.actor.life, SequentialLife):
            with self._turns:
                for ref in refs:
                    call = self._book.open.get(task_of(self._inline.id_of(ref)))
                    if call is not None and call.actor is caller.actor:
                        raise own_later_call(call.name, ref.hex())
        return self._inline.get(refs, timeout)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None, fetch_local: bool
    ) -> list[int]:
        return self._inline.wait(refs, num_returns, timeout)

    def wait_with_streams(
        self, waitables: Sequence[ObjectRef[Any] | InlineStream], num_returns: int, timeout: float | None
    ) -> list[int]:
        return self._inline.wait(waitables, num_returns, timeout)

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None:
        with self._turns:
            for ref in refs:
                self._inline.objects.free(self._inline.id_of(ref))

    def object_locations(self, refs: Sequence[ObjectRef[Any]]) -> list[dict[str, Any]]:
        node_id = self._info.node_id.hex()
        with self._turns:
            entries = [self._inline.objects.entries[self._inline.id_of(ref)] for ref in refs]
        return [{"node_ids": [node_id], "object_size": len(entry.data), "did_spill": False} for entry in entries]

    # --- the cluster --------------------------------------------------------------------------------------------------------------

    def total_resources(self) -> dict[str, float]:
        return self._admission.totals()

    def available_resources(self) -> dict[str, float]:
        self._inline.let_others_run()
        with self._turns:
            return self._admission.available()

    def nodes(self) -> list[dict[str, Any]]:
        return [rows.cluster_node(self._info, self._admission.totals(), self._admission.labels)]

    def create_placement_group(
        self,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        label_selectors: list[dict[str, str]],
    ) -> bytes:
        self._inline.check_not_ended()
        with self._turns:
            return self._groups.create(bundles, strategy, name, label_selectors)

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        self._inline.check_not_ended()
        with self._turns:
            ref = self._inline.new_object()
            object_id = ref.binary()

            def settled(error: ShoalError | None) -> None:
                self._inline.complete(object_id, value, error)

            self._groups.when_settled(group_id, settled)
        return ref

    def remove_placement_group(self, group_id: bytes) -> None:
        with self._turns:
            error = TaskPlacementGroupRemoved()
            for call in self._book.tasks_in_group(group_id):
                self._book.abandon(call, error)
            self._actors.remove_group(group_id, error)
            self._groups.remove(group_id)
        self._inline.check_not_ended()

    def placement_groups(self) -> list[dict[str, Any]]:
        self._inline.let_others_run()
        with self._turns:
            return self._groups.rows()

    def kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        with self._turns:
            return self._key_values.put(namespace, key, value, overwrite)

    def kv_get(self, namespace: str, key: bytes) -> bytes | None:
        self._inline.let_others_run()
        with self._turns:
            return self._key_values.get(namespace, key)

    def kv_delete(self, namespace: str, key: bytes) -> bool:
        with self._turns:
            return self._key_values.delete(namespace, key)

    def kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        self._inline.let_others_run()
        with self._turns:
            return self._key_values.keys(namespace, prefix)

    # --- looking inside -----------------------------------------------------------------------------------------------------------

    def state(self, what: str) -> list[dict[str, Any]]:
        self._inline.let_others_run()
        info, pid = self._info, self._inline.pid
        with self._turns:
            if what == "tasks":
                calls = [*self._book.over, *self._book.open.values()]
                return [rows.task_row(call, info, pid) for call in calls]
            if what == "actors":
                return self._actors.directory.rows(info.node_id.hex())
            if what == "objects":
                return self._inline.objects.rows(pid)
            if what == "workers":
                return [rows.worker_row(info, pid, self._started)]
            if what == "nodes":
                return [rows.node_row(info, self._admission.totals(), self._admission.labels, self._started)]
            if what == "jobs":
                return [rows.job_row(info, pid, self._started)]
            if what == "placement_groups":
                return self._groups.rows()
            if what == "metrics":
                return self._metrics.rows()
        if what in ("runtime_envs", "events"):
            return []
        raise ValueError(f"there is no list of {what!r}")

    def timeline(self) -> list[dict[str, Any]]:
        from shoal._core.process.task_timeline import chrome_trace

        return chrome_trace(self.state("tasks"))

    def record_metric(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None:
        recorded = MetricRecorded(kind, name, description, tags, value, boundaries)
        with self._turns:
            conflict = self._metrics.record(self._info.worker_id, recorded)
        if conflict:
            sys.stderr.write(f"shoal: {conflict}\n")

    def preload(self, modules: Sequence[str]) -> None:
        """Nothing: there are no workers, and this process imports what it uses."""

    # --- the end ------------------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Ends all tasks and actors. Returns when their threads are gone, or will not go: that is logged."""
        inline = self._inline
        if inline.ended:
            return
        inline.ended = True
        error = SessionEndedError(ENDED)
        with self._turns:
            self._actors.end_all()
            for call in self._book.open.values():
                if call.seat is not None:
                    call.seat.is_abandoned = True
            for object_id in list(inline.objects.entries):
                inline.complete(object_id, None, error)
        threads = self._turns.close(error)
        deadline = time.monotonic() + LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stubborn = [thread.name for thread in threads if thread.is_alive()]
        if stubborn:
            import logging

            logging.getLogger("shoal").warning(
                "The session has ended, but code of %s still runs in this process.", ", ".join(stubborn)
            )
        set_current_home(None)
