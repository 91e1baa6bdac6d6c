"""The client's tasks: submitted, pushed to leased workers, finished, retried, cancelled.

Decisions are `logic/tasks.py`'s, one pool a scheduling class; this is the shell that feeds the pools and carries their effects out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from shoal._core.logic.ownership import PENDING
from shoal._core.logic.tasks import (
    PUSHED,
    AskLeases,
    Effect,
    GiveLeaseBack,
    KillFor,
    Lease,
    Push,
    Task,
    TaskPool,
    WithdrawRequest,
)
from shoal._core.process.arguments import pack_arguments, resolve_dependencies_locked
from shoal._core.process.node_link import NodeLink
from shoal._core.process.object_ref import ObjectRef
from shoal._core.process.peers import Peer, Peers
from shoal._core.process.references import References
from shoal._core.process.streams import StreamState
from shoal._core.process.task_records import TaskRecords
from shoal._core.schema.definitions import TaskTemplate
from shoal._core.schema.ids import TaskIds, object_id_of
from shoal._core.schema.messages import (
    ERROR,
    STORED,
    CancelLeaseRequest,
    CancelTask,
    Definition,
    FreeObjects,
    KillWorker,
    PushTasks,
    RequestLease,
    ReturnLease,
    TaskCall,
    TaskResult,
    WhyDied,
)
from shoal._core.schema.options import DYNAMIC, STREAMING
from shoal._core.schema.resources import SchedulingClass
from shoal._core.system.event_loop import EventLoop, Timer
from shoal._core.system.task_errors import dump_error, load_error
from shoal._core.system.transport import ConnectionClosed
from shoal.exceptions import (
    DeathCause,
    OutOfMemoryError,
    TaskCancelledError,
    TaskForceCancelledError,
    WorkerCrashedError,
)

IDLE_LEASE_SECONDS = 0.05
"""An idle lease is kept so long, for the next call of the same kind."""
KEPT_TEMPLATES = 1024


class PreparedTask:
    """What is the same for all calls of one template."""

    __slots__ = ("num_returns", "pool", "template")

    def __init__(self, template: TaskTemplate, pool: ClassPool) -> None:
        self.template = template
        self.pool = pool
        self.num_returns = template.options.num_returns


class ClassPool:
    """A pool with the scheduling class it asks leases for."""

    __slots__ = ("cpus", "environment", "name", "pool", "request_id", "scheduling_class")

    def __init__(self, scheduling_class: SchedulingClass, environment: bytes, name: str, max_calls: int) -> None:
        self.scheduling_class = scheduling_class
        self.environment = environment
        self.name = name
        self.pool = TaskPool(max_calls)
        self.request_id = 0


class TaskOwner:
    """Tasks of one client."""

    def __init__(
        self,
        task_ids: TaskIds,
        references: References,
        node: NodeLink,
        peers: Peers,
        loop: EventLoop,
        records: TaskRecords,
        current_task: Callable[[], bytes],
        class_of: Callable[[TaskTemplate], tuple[SchedulingClass, bytes]],
    ) -> None:
        self._task_ids = task_ids
        self._references = references
        self._lock = references.lock
        self._node = node
        self._peers = peers
        self._loop = loop
        self._records = records
        self._current_task = current_task
        self._class_of = class_of
        self._prepared: dict[TaskTemplate, PreparedTask] = {}
        self._pools: dict[tuple[SchedulingClass, int], ClassPool] = {}
        self._requests: dict[int, ClassPool] = {}
        self._by_pool: dict[TaskPool, ClassPool] = {}
        self.running: dict[bytes, Task] = {}
        """Tasks and actor calls that have been sent, or wait to be."""
        self._leases: dict[int, tuple[ClassPool, Lease]] = {}
        self._dead: dict[bytes, list[Lease]] = {}
        """Leases whose worker is gone, until the node has said why."""
        self._undelivered: set[bytes] = set()
        """Tasks that could not even be sent to their worker, whose end is being asked about: they have not begun."""
        self._idle_timer: Timer | None = None
        # Ray writes this variable in small letters.
        self._retry_delay = int(os.environ.get("SHOAL_task_retry_delay_ms") or 0) / 1000  # noqa: SIM112
        """Seconds before a task runs again."""

    # --- submitting -------------------------------------------------------------------------------------------------------------

    def submit(self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prepared = self._prepared.get(template) or self._prepare(template)
        task_id = self._task_ids.next()
        call = TaskCall(task_id, template.definition.id, b"", prepared.num_returns)
        task = Task(call, template, template.name, template.options.max_retries)
        call.parent_task_id = self._current_task()
        keep = None
        dependencies: list[bytes] = []
        if args or kwargs:
            packed = pack_arguments(
                args, kwargs, self._references, self._new_object_id, template.definition.value, template.name
            )
            call.args = packed.data
            call.slots = packed.slots
            dependencies = packed.dependencies
            task.uses = packed.held
            keep = packed.keep
        if template.options.name:
            call.name = template.name
        task.definition = template.definition
        task.pool = prepared.pool.pool
        references = self._references
        task.submitted = time.time()
        with self._lock:
            self.make_returns_locked(task, prepared.num_returns, template.options.generator_backpressure)
            self.running[task_id] = task
            self._start_locked(task, dependencies, references)
            if references._dropped:
                references.drain_dropped_locked()
        if references._due:
            references.run_due()
        del keep
        return self.refs_of(task)

    def _new_object_id(self) -> bytes:
        return object_id_of(self._task_ids.next(), 0)

    def _prepare(self, template: TaskTemplate) -> PreparedTask:
        scheduling_class, environment = self._class_of(template)
        max_calls = template.options.max_calls
        key = (scheduling_class, max_calls)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = ClassPool(scheduling_class, environment, template.name, max_calls)
                self._by_pool[pool.pool] = pool
            if len(self._prepared) >= KEPT_TEMPLATES:
                self._prepared.clear()  # options in which there is a dict make a new template each time
            prepared = self._prepared[template] = PreparedTask(template, pool)
        return prepared

    def forget_inherited(self) -> None:
        """What tasks inherit here (placement group, environment) has changed."""
        self._prepared.clear()

    def make_returns_locked(self, task: Task, num_returns: int, backpressure: int) -> None:
        """Creates the objects that the task is going to make, each with one local reference."""
        references = self._references
        task_id = task.call.task_id
        if num_returns == STREAMING:
            task.call.backpressure = backpressure
            task.stream = StreamState(task_id, references, self.stream_consumed)
            task.returns = [task.stream.completed_id]
            return
        count = 1 if num_returns == DYNAMIC else num_returns
        task.returns = [object_id_of(task_id, index) for index in range(count)]
        for object_id in task.returns:
            references.table.create(object_id, task)
            references.call_sites.made(object_id)

    def refs_of(self, task: Task) -> Any:
        """Returns the references that `make_returns_locked` has counted already; the stream of a streaming task."""
        if task.stream is not None:
            return task.stream
        references = self._references
        return [ObjectRef(object_id, references) for object_id in task.returns]

    def _start_locked(self, task: Task, dependencies: list[bytes], references: References) -> None:
        """Counts what the task needs, and submits it as soon as its arguments are there."""
        if task.uses:
            references.table.use(task.uses)
        if references.ended is not None:
            self.fail_task_locked(task, dump_error(references.end_error()))
            return
        if dependencies:
            entries = references.table.entries
            waiting = 0
            for object_id in dependencies:
                entry = entries[object_id]
                if entry.kind == PENDING:
                    waiting += 1
                    references.call_when_ready_locked(
                        object_id, entry, lambda: self._dependency_ready(task, dependencies)
                    )
            if waiting:
                task.waiting_for = waiting
                return
        self._submit_locked(task, dependencies)

    def _dependency_ready(self, task: Task, dependencies: list[bytes]) -> None:
        with self._lock:
            task.waiting_for -= 1
            if task.waiting_for == 0 and not task.cancelled:
                self._submit_locked(task, dependencies)
        self._references.run_due()

    def _submit_locked(self, task: Task, dependencies: list[bytes]) -> None:
        if dependencies:
            error = self.dependency_error_locked(dependencies)
            if error is not None:
                self.fail_task_locked(task, error)
                return
            resolve_dependencies_locked(task.call, dependencies, self._references)
        pool = task.pool
        assert pool is not None
        effects = pool.submit(task)
        if effects:
            self._carry_out_locked(self._by_pool[pool], effects)

    def dependency_error_locked(self, dependencies: list[bytes]) -> bytes | None:
        """Returns the serialized error of the first argument that has one: the task fails with the same."""
        entries = self._references.table.entries
        for object_id in dependencies:
            entry = entries[object_id]
            if entry.kind == ERROR:
                return bytes(entry.data)
        return None

    # --- effects ----------------------------------------------------------------------------------------------------------------

    def _carry_out_locked(self, pool: ClassPool, effects: list[Effect]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Push:
                self._push_locked(pool, effect.lease, effect.tasks)  # type: ignore[union-attr]
            elif kind is AskLeases:
                self._ask_locked(pool, effect.count)  # type: ignore[union-attr]
            elif kind is GiveLeaseBack:
                self._leases.pop(effect.lease.id, None)  # type: ignore[union-attr]
                self._node.send(ReturnLease(effect.lease.id, effect.reusable))  # type: ignore[union-attr]
            elif kind is KillFor:
                reason = f"{effect.task.name} was cancelled with force"  # type: ignore[union-attr]
                self._node.send(KillWorker(effect.lease.worker_id, reason))  # type: ignore[union-attr]
            elif kind is WithdrawRequest:
                self._node.send(CancelLeaseRequest(pool.request_id))
                self._requests.pop(pool.request_id, None)
        if pool.pool.idle and self._idle_timer is None:
            self._arm_idle_timer()

    def _arm_idle_timer(self) -> None:
        timer = Timer(0.0, self._expire_idle)
        self._idle_timer = timer
        self._loop.call_soon(lambda: self._loop.add_timer(timer, IDLE_LEASE_SECONDS))

    def _expire_idle(self) -> None:
        now = time.monotonic()
        due: float | None = None
        with self._lock:
            self._idle_timer = None
            for pool in list(self._pools.values()):
                if pool.pool.idle:
                    effects, again = pool.pool.expire_idle(now, IDLE_LEASE_SECONDS)
                    if again is not None:
                        due = again if due is None else min(due, again)
                    if effects:
                        self._carry_out_locked(pool, effects)
            if due is not None and self._idle_timer is None:
                self._idle_timer = self._loop.call_at(due, self._expire_idle)

    def _ask_locked(self, pool: ClassPool, count: int) -> None:
        request_id = self._node.next_request_id()
        pool.request_id = request_id
        self._requests[request_id] = pool
        self._node.send(RequestLease(request_id, pool.scheduling_class, count, pool.name, pool.environment))

    def _push_locked(self, pool: ClassPool, lease: Lease, tasks: list[Task]) -> None:
        peer: Peer | None = lease.connection
        if peer is None:
            try:
                peer = lease.connection = self._peers.connect_to(lease.address)
            except ConnectionClosed:
                self._undelivered.update(task.call.task_id for task in tasks)
                self._loop.call_soon(lambda: self._lease_lost(lease))
                return
        definitions = []
        known = peer.known_functions
        calls = []
        for task in tasks:
            call = task.call
            if call.function_id not in known:
                known.add(call.function_id)
                definition = task.definition
                definitions.append(Definition(definition.id, definition.name, definition.data))
            call.alone = task.alone
            calls.append(call)
        message = PushTasks(calls, definitions)
        if not lease.calls and lease.gpu_ids is not None:
            message.gpu_ids = lease.gpu_ids
            message.cpus = pool.scheduling_class.resources.get("CPU", 0) / 10000
            message.resources = dict(pool.scheduling_class.resources)
            message.placement_group = pool.scheduling_class.placement_group_id
            message.capture_children = pool.scheduling_class.capture_children
            message.environment = pool.environment
        if not peer.send(message):
            self._undelivered.update(task.call.task_id for task in tasks)
            self._loop.call_soon(lambda: self._lease_lost(lease))

    # --- what the node says --------------------------------------------------------------------------------------------------------

    def lease_granted(self, message: Any) -> None:
        with self._lock:
            pool = self._requests.get(message.request_id)
            if pool is None or (not pool.pool.ready and pool.pool.asked == 0):
                self._node.send(ReturnLease(message.lease_id, True))
                return
            if message.remaining == 0:
                self._requests.pop(message.request_id, None)
            lease = Lease(message.lease_id, message.worker_id, message.address, message.gpu_ids)
            self._leases[lease.id] = (pool, lease)
            self._carry_out_locked(pool, pool.pool.granted(lease, message.remaining, time.monotonic()))

    def lease_refused(self, message: Any) -> None:
        with self._lock:
            pool = self._requests.pop(message.request_id, None)
            if pool is None:
                return
            pool.pool.asked = 0
            for task in pool.pool.refuse():
                self.fail_task_locked(task, message.error)
        self._references.run_due()

    def lease_reclaimed(self, lease_id: int) -> None:
        with self._lock:
            found = self._leases.get(lease_id)
            if found is not None:
                pool = found[0]
                self._carry_out_locked(pool, pool.pool.reclaimed(lease_id))

    def peer_gone(self, peer: Peer) -> None:
        """A connection ended: if we had leases of that worker, ask the node why it died."""
        with self._lock:
            lost = [lease for _, lease in self._leases.values() if lease.connection is peer]
        for lease in lost:
            self._lease_lost(lease)

    def _lease_lost(self, lease: Lease) -> None:
        with self._lock:
            found = self._leases.get(lease.id)
            if found is None or lease.lost:
                return
            found[0].pool.lost(lease)
            self._dead.setdefault(lease.worker_id, []).append(lease)
        self._node.send(WhyDied(lease.worker_id))

    def worker_died(self, worker_id: bytes, cause: Any) -> None:
        """The node explains a death: retry what may be retried, fail the rest with the cause."""
        with self._lock:
            lost = self._dead.pop(worker_id, [])
            lost.extend(
                lease for _, lease in list(self._leases.values()) if lease.worker_id == worker_id and lease not in lost
            )
            for lease in lost:
                self._retry_locked(lease, cause)
        self._references.run_due()

    def _retry_locked(self, lease: Lease, cause: Any) -> None:
        found = self._leases.pop(lease.id, None)
        if found is None:
            return
        pool = found[0]
        tasks, exact = pool.pool.worker_died(lease)
        again = []
        if self._undelivered:
            never_begun = {task.call.task_id for task in tasks} & self._undelivered
            self._undelivered -= never_begun
            again = [task for task in tasks if task.call.task_id in never_begun and not task.cancelled]
            tasks = [task for task in tasks if task.call.task_id not in never_begun or task.cancelled]
            exact = len(tasks) == 1
        for task in tasks:
            if task.cancelled:
                self.forget_results(task)
                self.fail_task_locked(task, dump_error(cancelled_by_force(task, cause)))
            elif not exact and task.retries_left != 0:
                # One of them took the worker down; which, the next attempt tells, each alone.
                again.append(task)
            elif task.retries_left != 0:
                self.count_retry(task)
                again.append(task)
            else:
                self.forget_results(task)
                self.fail_task_locked(task, dump_error(crash_of(task, cause)))
        self._try_again_locked(pool, again, alone=True)

    def _try_again_locked(self, pool: ClassPool, tasks: list[Task], alone: bool) -> None:
        """Tasks shall run again: at once, or after the delay that the environment asks for."""
        if not tasks or not self._retry_delay:
            self._carry_out_locked(pool, pool.pool.retry(tasks, alone))
            return
        self._loop.call_later(self._retry_delay, lambda: self._try_again_later(pool, tasks, alone))

    def _try_again_later(self, pool: ClassPool, tasks: list[Task], alone: bool) -> None:
        with self._lock:
            wanted = [task for task in tasks if self.running.get(task.call.task_id) is task]
            self._carry_out_locked(pool, pool.pool.retry(wanted, alone))
        self._references.run_due()

    def forget_results(self, task: Task) -> None:
        """A worker of it died: it may have stored results that it did not live to report."""
        self._node.send(FreeObjects(task.returns))

    def _forget_earlier(self, task: Task, result: TaskResult) -> None:
        """An earlier attempt may have stored what the last one sent in its message."""
        stored = {value.object_id for value in result.values if value.kind == STORED}
        if result.kind != STORED:
            self._node.send(FreeObjects([object_id for object_id in task.returns if object_id not in stored]))

    def count_retry(self, task: Task) -> None:
        if task.retries_left > 0:
            task.retries_left -= 1
        task.attempt += 1
        task.call.attempt = task.attempt

    # --- what workers say ------------------------------------------------------------------------------------------------------------

    def tasks_done(self, results: list[TaskResult], worker_id: bytes) -> None:
        """Results of ordinary tasks, on the loop's thread. Those of actor calls are `actor_caller`'s."""
        now = time.monotonic()
        with self._lock:
            by_lease: dict[int, tuple[Lease, list[bytes], list[float]]] = {}
            again: list[Task] = []
            for result in results:
                task = self.running.get(result.task_id)
                lease = task.lease if task is not None else None
                if task is None or lease is None or lease.worker_id != worker_id:
                    # Cancelled; or the last word of a worker that is known to be dead: the task has been given to another.
                    self._references.borrows.declined(result)
                    continue
                group = by_lease.get(lease.id)
                if group is None:
                    group = by_lease[lease.id] = (lease, [], [])
                group[1].append(result.task_id)
                group[2].append(result.ended - result.started)
                if result.kept:
                    self._references.borrows.handed_on(result.kept, worker_id, task.uses)
                if result.kind == ERROR and self.shall_retry(task, result, task.template.options.retry_exceptions):
                    self.count_retry(task)
                    again.append(task)
                    continue
                self.finish_task_locked(task, result, worker_id)
            for lease, ids, durations in by_lease.values():
                found = self._leases.get(lease.id)
                if found is not None:
                    pool = found[0]
                    effects = pool.pool.finished(lease, ids, durations, now)
                    if effects or pool.pool.idle:
                        self._carry_out_locked(pool, effects)
            for task in again:
                assert task.pool is not None
                self._try_again_locked(self._by_pool[task.pool], [task], alone=False)
        self._references.run_due()

    def shall_retry(self, task: Task, result: TaskResult, retry_exceptions: Any) -> bool:
        """Whether the user's own error is one that the task may be tried again for."""
        if not result.retryable or not retry_exceptions or task.retries_left == 0 or task.cancelled:
            return False
        if retry_exceptions is True:
            return True
        error = load_error(result.data)
        cause = getattr(error, "cause", error)
        return isinstance(cause, tuple(retry_exceptions))

    def finish_task_locked(self, task: Task, result: TaskResult, worker_id: bytes) -> None:
        """A task ended: its results are there, what it needed is let go."""
        references = self._references
        task_id = task.call.task_id
        self.running.pop(task_id, None)
        if task.cancelled and result.kind == ERROR and not result.retryable:
            result.data = dump_error(cancelled(task))
        if task.stream is not None:
            task.stream.ended_locked(result)
        elif result.values and result.kind != ERROR:
            for value in result.values:
                references.complete_locked(
                    value.object_id, value.kind, value.data, value.size, value.nodes, value.contained
                )
        else:
            nodes = [self._references._node_id] if result.size else []
            for object_id in task.returns:
                references.complete_locked(object_id, result.kind, result.data, result.size, nodes, result.contained)
        if task.retried or task.attempt:
            self._forget_earlier(task, result)
        self._records.finished(task, result, worker_id)
        self._release_uses_locked(task)

    def fail_task_locked(self, task: Task, error: bytes) -> None:
        """The task will not run (again): everybody who waits for it gets this error."""
        references = self._references
        self.running.pop(task.call.task_id, None)
        if task.retried or task.attempt:
            self.forget_results(task)
        if task.stream is not None:
            task.stream.failed_locked(error)
        for object_id in task.returns:
            references.complete_locked(object_id, ERROR, error)
        self._records.failed(task, error)
        self._release_uses_locked(task)

    def _release_uses_locked(self, task: Task) -> None:
        if task.uses:
            uses, task.uses = task.uses, []
            freed = self._references.table.end_use(uses)
            if freed:
                self._references.carry_out_locked(freed)
        task.call = _call_without_data(task.call)

    def handed_back(self, task_ids: list[bytes], worker_id: bytes) -> None:
        with self._lock:
            by_lease: dict[int, tuple[Lease, list[bytes]]] = {}
            for task_id in task_ids:
                task = self.running.get(task_id)
                if task is not None and task.lease is not None and task.lease.worker_id == worker_id:
                    by_lease.setdefault(task.lease.id, (task.lease, []))[1].append(task_id)
            for lease, ids in by_lease.values():
                found = self._leases.get(lease.id)
                if found is not None:
                    pool = found[0]
                    self._carry_out_locked(pool, pool.pool.handed_back(lease, ids, time.monotonic()))
            for task_id in task_ids:
                task = self.running.get(task_id)
                if task is not None and task.cancelled and task.lease is None:
                    self.fail_task_locked(task, dump_error(cancelled(task)))
        self._references.run_due()

    # --- cancelling and streams --------------------------------------------------------------------------------------------------------

    def cancel_locked(self, task: Task, force: bool, recursive: bool) -> None:
        task.cancelled = True
        task.retries_left = 0
        if task.state == PUSHED and task.lease is not None:
            lease = task.lease
            if force:
                pool = self._leases[lease.id][0]
                self._carry_out_locked(pool, pool.pool.force(lease, task))
            if not lease.doomed and lease.connection is not None:
                lease.connection.send(CancelTask(task.call.task_id, recursive))
            return
        if task.pool is not None:
            task.pool.withdraw(task)
        error = dump_error(cancelled(task))
        self.fail_task_locked(task, error)

    def end_streams(self) -> None:
        """The session has ended: nothing more comes of what runs."""
        with self._lock:
            error = dump_error(self._references.end_error())
            for task in self.running.values():
                if task.stream is not None:
                    task.stream.failed_locked(error)
        self._references.run_due()

    def stream_consumed(self, task_id: bytes, count: int) -> None:
        """Tells the producer of a stream how far its consumer is."""
        from shoal._core.schema.messages import StreamConsumed

        task = self.running.get(task_id)
        if task is not None:
            peer = task.lease.connection if task.lease is not None else (task.fields or {}).get("peer")
            if peer is not None:
                peer.send(StreamConsumed(task_id, count))

    def request_of(self, task: Task) -> int:
        """The id of the lease request that a task waits for."""
        return self._by_pool[task.pool].request_id if task.pool is not None else 0

    def children_of(self, task_id: bytes) -> list[Task]:
        return [task for task in list(self.running.values()) if task.call.parent_task_id == task_id]


def cancelled(task: Task) -> TaskCancelledError:
    task_id = task.call.task_id.hex()
    return TaskCancelledError(task_id, f"{task.name} (task {task_id}) was cancelled, so it has no result.")


def cancelled_by_force(task: Task, cause: DeathCause) -> TaskForceCancelledError:
    task_id = task.call.task_id.hex()
    return TaskForceCancelledError(task_id, f"{task.name} (task {task_id}) was cancelled with force=True.", death=cause)


def crash_of(task: Task, cause: DeathCause) -> WorkerCrashedError | OutOfMemoryError:
    """Returns the error of a task whose worker died, with attempts spent."""
    attempts = "its only attempt" if task.attempt == 0 else f"attempt {task.attempt + 1}, the last it had"
    if cause.oom:
        return OutOfMemoryError(f"{task.name} ran out of memory in {attempts}:", death=cause)
    return WorkerCrashedError(f"The worker died while it ran {task.name} ({attempts}):", death=cause)


def _call_without_data(call: TaskCall) -> TaskCall:
    """What is kept of a finished call: who it was, not what it carried."""
    call.args = b""
    call.deps = []
    return call
