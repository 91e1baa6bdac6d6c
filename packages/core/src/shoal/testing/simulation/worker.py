"""A simulated worker: runs calls one after another, or is one actor (`process/worker.py` and its executor for real)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from shoal._core.schema.ids import object_id_of
from shoal._core.schema.messages import (
    ERROR,
    INLINE,
    STORED,
    ActorExiting,
    ActorSpec,
    ActorStarted,
    AskToLeave,
    CancelTask,
    DrainActor,
    GaveBack,
    NotNeeded,
    ObjectValue,
    PushActorCalls,
    PushTasks,
    StartActor,
    StillNeeded,
    TaskCall,
    TaskResult,
    TasksDone,
    TasksRefused,
)
from shoal.testing.simulation import values
from shoal.testing.simulation.client import Client, Surroundings
from shoal.testing.simulation.objects import Ref
from shoal.testing.simulation.peers import Peer
from shoal.testing.simulation.programs import Crash, Fiber, Program, Raised
from shoal.testing.simulation.values import Failure, Value, dump
from shoal.testing.simulation.workload import Scope, Workload

PATIENCE_SECONDS = 0.01
CHECK_SECONDS = 0.002


class Execution:
    """One call that runs, or waits its turn."""

    __slots__ = ("arrived", "call", "canceled", "fiber", "peer", "scope", "started")

    def __init__(self, peer: Peer, call: TaskCall) -> None:
        self.peer = peer
        self.call = call
        self.canceled = False
        self.started = 0.0
        self.arrived: list[bytes] = []
        self.scope: Scope | None = None
        self.fiber: Fiber | None = None


class Worker(Client):
    """One worker process. A task worker turns into an actor when the node says so; never back."""

    def __init__(
        self, around: Surroundings, worker_id: bytes, workload: Workload, end: Callable[[Worker, bool], None]
    ) -> None:
        super().__init__(around, worker_id, "worker")
        self._workload = workload
        self._end = end
        self._inbox: deque[Execution] = deque()
        self._running: Execution | None = None
        self._outbox: dict[Peer, list[TaskResult]] = {}
        self._check_planned = False
        self._leaving = False
        self._become: StartActor | None = None
        self._constructor: Fiber | None = None
        self._spec: ActorSpec | None = None
        self._is_actor = False
        self._early: list[tuple[Peer, PushActorCalls]] = []
        self._state: list[Ref] = []
        """What an actor keeps between calls."""

    # --- what arrives -------------------------------------------------------------------------------------------------

    def on_peer_message(self, peer: Peer, message: Any) -> None:
        if isinstance(message, PushTasks):
            self._accept([Execution(peer, call) for call in message.calls])
        elif isinstance(message, PushActorCalls):
            self._push_calls(peer, message)
        elif isinstance(message, CancelTask):
            self._cancel(message.task_id)
            if message.recursive and self.alive:
                self.cancel_children(message.task_id)
        else:
            super().on_peer_message(peer, message)

    def on_node_message(self, message: Any) -> None:
        if isinstance(message, StartActor):
            self._spec = message.spec
            self._become = message
            self._run_next()
        elif isinstance(message, AskToLeave):
            if self.objects.needed_by_others():
                self.objects.on_freed = self._something_freed
                self.to_node(StillNeeded())
            else:
                self._leaving = True
                self._run_next()
        elif isinstance(message, DrainActor):
            self._leaving = True
            self._run_next()
        else:
            super().on_node_message(message)

    def _something_freed(self) -> None:
        if not self.objects.needed_by_others():
            self.objects.on_freed = _nothing
            self.to_node(NotNeeded())

    def _push_calls(self, peer: Peer, message: PushActorCalls) -> None:
        if self._spec is None or message.actor_id != self._spec.actor_id:
            peer.send(TasksRefused([call.task_id for call in message.calls], "another actor lives here"))
        elif not self._is_actor:
            self._early.append((peer, message))
        else:
            self._accept([Execution(peer, call) for call in message.calls])

    def _accept(self, executions: list[Execution]) -> None:
        self._inbox.extend(executions)
        if not self._check_planned and (len(executions) > 1 or self._running is not None):
            self._plan_check()
        self._run_next()

    def _cancel(self, task_id: bytes) -> None:
        running = self._running
        if running is not None and running.call.task_id == task_id:
            running.canceled = True
            if not self._is_actor and running.fiber is not None:
                running.fiber.interrupt()
                self._finish(running, self._canceled(running), [])
            return
        for execution in list(self._inbox):
            if execution.call.task_id == task_id:
                execution.canceled = True
                self._inbox.remove(execution)
                self._add_result(execution, self._canceled(execution), False)

    # --- results on their way -----------------------------------------------------------------------------------------

    def _plan_check(self) -> None:
        self._check_planned = True
        self.agenda.after(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        """While calls queue: results must not wait for a long task, nor calls behind one."""
        self._check_planned = False
        if not self.alive:
            return
        self._flush()
        running = self._running
        if self._inbox and running is not None and self.agenda.now - running.started > PATIENCE_SECONDS:
            self._hand_back()
        if self._inbox or self._outbox:
            self._plan_check()

    def before_block(self) -> None:
        self._flush()
        self._hand_back()

    def _hand_back(self) -> None:
        if self._is_actor:
            return
        by_peer: dict[Peer, list[bytes]] = {}
        for execution in self._inbox:
            by_peer.setdefault(execution.peer, []).append(execution.call.task_id)
        self._inbox.clear()
        for peer, task_ids in by_peer.items():
            peer.send(GaveBack(task_ids))

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for peer, results in outbox.items():
            peer.send(TasksDone(results))

    def _add_result(self, execution: Execution, result: TaskResult, may_wait: bool) -> None:
        result.started = execution.started or self.agenda.now
        result.ended = self.agenda.now
        self._outbox.setdefault(execution.peer, []).append(result)
        if not may_wait or self.around.random.random() < 0.5:
            self._flush()

    # --- running ------------------------------------------------------------------------------------------------------

    def _run_next(self) -> None:
        while self.alive and self._running is None and self._constructor is None:
            if not self._inbox:
                self._flush()
                if self._become is not None:
                    become, self._become = self._become, None
                    self._run_constructor(become.spec)
                elif self._leaving:
                    if self._is_actor and self._spec is not None:
                        self.to_node(ActorExiting(self._spec.actor_id, "no handle to the actor is left"))
                    self._end(self, True)
                return
            self._begin(self._inbox.popleft())

    def _begin(self, execution: Execution) -> None:
        self._running = execution
        execution.started = self.agenda.now
        call = execution.call
        if execution.canceled:
            self._finish(execution, self._canceled(execution), [])
            return
        witness = self.around.witness
        witness.begun(call.task_id)
        arguments = values.load_arguments(call.args)
        arrived: list[Ref] = []
        for dep in call.deps:
            data = dep.data if dep.kind == INLINE else self.around.store.read(dep.object_id)
            if dep.kind not in (INLINE, STORED) or data is None:
                witness.got(dep.object_id, Failure(values.LOST, dep.object_id))
                for ref in arrived:
                    ref.drop()
                self._finish(execution, self._error(execution, Failure(values.LOST, dep.object_id), False), [])
                return
            value = values.load_value(data)
            witness.got(dep.object_id, value)
            arrived.extend(self.objects.rebuild(value.refs))
        passed = self.objects.rebuild(arguments.refs)
        execution.arrived = [ref.object_id for ref in (*arrived, *passed)]
        scope = execution.scope = Scope(self, call.task_id, passed, arrived)
        if self._is_actor:
            witness.call_begun(self.worker_id, call.task_id, arguments.sequence)
            program = self._workload.method(scope, self._state)
        else:
            program = self._workload.task(scope, arguments.depth)
        self._fiber(execution, program).start()

    def _fiber(self, execution: Execution, program: Program) -> Fiber:
        def ended(outcome: list[Ref] | Raised | Crash) -> None:
            self._ended(execution, outcome)

        execution.fiber = Fiber(
            program,
            self.objects,
            self.agenda,
            lambda: self.alive,
            self.blocked,
            self.unblocked,
            ended,
            self._wake_delay,
        )
        return execution.fiber

    def _wake_delay(self) -> float:
        return self.around.random.random() * 1e-4

    def _ended(self, execution: Execution, outcome: list[Ref] | Raised | Crash) -> None:
        if isinstance(outcome, Crash):
            self._end(self, False)
        elif execution.canceled:
            self._finish(execution, self._canceled(execution), outcome if isinstance(outcome, list) else [])
        elif isinstance(outcome, Raised):
            self.around.witness.raised.add(execution.call.task_id)
            self._finish(execution, self._error(execution, Failure(values.RAISED, execution.call.task_id), True), [])
        else:
            self._finish(execution, None, outcome)

    def _finish(self, execution: Execution, result: TaskResult | None, returned: list[Ref]) -> None:
        """The call is over: its locals go, its result is made, and what the process still holds is told."""
        scope = execution.scope
        if scope is not None:
            scope.drop_all(but=returned)
        if result is None:
            result = self._succeeded(execution, returned)
        if execution.arrived:
            result.kept = self.objects.table.still_held(dict.fromkeys(execution.arrived))
        for ref in returned:
            if ref not in self._state:
                ref.drop()
        may_wait = bool(self._inbox) and not execution.call.alone
        self._running = None
        self._add_result(execution, result, may_wait)
        self.objects.run_due()
        self.soon(self._run_next)

    def _succeeded(self, execution: Execution, returned: list[Ref]) -> TaskResult:
        call = execution.call
        packed = []
        for index in range(call.num_returns):
            refs = returned if index == 0 else []
            packed.append(self._pack(call, object_id_of(call.task_id, index), refs))
        if call.num_returns == 1:
            only = packed[0]
            return TaskResult(call.task_id, only.kind, only.data, only.size, only.contained)
        return TaskResult(call.task_id, INLINE, b"", values=packed)

    def _pack(self, call: TaskCall, object_id: bytes, refs: list[Ref]) -> ObjectValue:
        random = self.around.random
        value = Value(random.getrandbits(32), [ref.inner() for ref in refs])
        contained = [(inner.object_id, inner.owner_address) for inner in value.refs]
        self.objects.handed_on(contained, call.task_id[:16], [object_id for object_id, _ in contained])
        data = dump(value)
        if random.random() < 0.8:
            self.around.witness.made(object_id, value.token)
            return ObjectValue(object_id, INLINE, data, len(data), [], contained)
        if self.around.store.read(object_id) is None:
            self.around.witness.made(object_id, value.token)
        self.around.store.write(object_id, data)
        return ObjectValue(object_id, STORED, b"", len(data), [self.around.node_id], contained)

    def _error(self, execution: Execution, failure: Failure, retryable: bool) -> TaskResult:
        return TaskResult(execution.call.task_id, ERROR, dump(failure), retryable=retryable)

    def _canceled(self, execution: Execution) -> TaskResult:
        return TaskResult(execution.call.task_id, ERROR, b"")

    # --- being an actor -----------------------------------------------------------------------------------------------

    def _run_constructor(self, spec: ActorSpec) -> None:
        witness = self.around.witness
        arrived: list[Ref] = []
        for dep in spec.deps:
            data = dep.data if dep.kind == INLINE else self.around.store.read(dep.object_id)
            if dep.kind == ERROR or data is None:
                failure = values.load_failure(dep.data) if dep.kind == ERROR else Failure(values.LOST, dep.object_id)
                witness.got(dep.object_id, failure)
                self._constructor_failed(spec)
                return
            arrived.extend(self.objects.rebuild(values.load_value(data).refs))
        passed = self.objects.rebuild(values.load_arguments(spec.args).refs)
        scope = Scope(self, spec.creation_task_id, passed, arrived)

        def ended(outcome: list[Ref] | Raised | Crash) -> None:
            self._constructor = None
            if isinstance(outcome, Crash):
                self._end(self, False)
                return
            scope.drop_all(but=self._state)
            if isinstance(outcome, Raised):
                self._constructor_failed(spec)
                return
            self._is_actor = True
            self.to_node(ActorStarted(spec.actor_id, b""))
            early, self._early = self._early, []
            for peer, message in early:
                self._push_calls(peer, message)
            self.soon(self._run_next)

        program = self._workload.constructor(scope, self._state)
        self._constructor = Fiber(
            program,
            self.objects,
            self.agenda,
            lambda: self.alive,
            self.blocked,
            self.unblocked,
            ended,
            self._wake_delay,
        )
        self._constructor.start()

    def _constructor_failed(self, spec: ActorSpec) -> None:
        self.around.witness.raised.add(spec.actor_id)
        self.to_node(ActorStarted(spec.actor_id, dump(Failure(values.RAISED, spec.actor_id))))
        self._end(self, True)

    # --- looking inside -----------------------------------------------------------------------------------------------

    def left_over(self) -> list[str]:
        found = super().left_over()
        if self._running is not None:
            call = self._running.call.task_id.hex()
            waits = self._running.fiber.waits_for if self._running.fiber is not None else []
            found.append(f"runs {call}, waits for {[object_id.hex() for object_id in waits]}")
        found += [f"has {execution.call.task_id.hex()} in its inbox" for execution in self._inbox]
        return found


def _nothing() -> None:
    return
