"""A simulated client's tasks: the shell over `logic/tasks.py` that `process/task_owner.py` is for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from shoal._core.schema.ids import TaskIds, object_id_of
from shoal._core.schema.messages import (
    ERROR,
    STORED,
    CancelLeaseRequest,
    CancelTask,
    FreeObjects,
    KillWorker,
    LeaseGranted,
    LeaseRefused,
    Message,
    PushTasks,
    RequestLease,
    ReturnLease,
    TaskCall,
    TaskResult,
    WhyDied,
)
from shoal._core.schema.resources import SchedulingClass
from shoal.testing.simulation import values
from shoal.testing.simulation.agenda import Agenda
from shoal.testing.simulation.network import Unreachable
from shoal.testing.simulation.objects import Objects, Ref, Waiting
from shoal.testing.simulation.peers import Peer, Peers
from shoal.testing.simulation.values import Arguments, Failure, dump
from shoal.testing.simulation.witness import Witness

IDLE_LEASE_SECONDS = 0.05


class TaskKind:
    """What is the same for all tasks of one kind."""

    __slots__ = ("max_calls", "max_retries", "name", "num_returns", "retry_exceptions", "scheduling_class")

    def __init__(
        self,
        name: str,
        scheduling_class: SchedulingClass,
        max_retries: int,
        num_returns: int = 1,
        retry_exceptions: bool = False,
        max_calls: int = 0,
    ) -> None:
        self.name = name
        self.scheduling_class = scheduling_class
        self.max_retries = max_retries
        self.num_returns = num_returns
        self.retry_exceptions = retry_exceptions
        self.max_calls = max_calls


class ClassPool:
    """A pool with the scheduling class it asks leases for."""

    __slots__ = ("name", "pool", "request_id", "scheduling_class")

    def __init__(self, kind: TaskKind) -> None:
        self.scheduling_class = kind.scheduling_class
        self.name = kind.name
        self.pool = TaskPool(kind.max_calls)
        self.request_id = 0


class Tasks:
    """Tasks of one client."""

    def __init__(
        self,
        task_ids: TaskIds,
        objects: Objects,
        peers: Peers,
        to_node: Callable[[Message], None],
        agenda: Agenda,
        witness: Witness,
        is_alive: Callable[[], bool],
    ) -> None:
        self._task_ids = task_ids
        self._objects = objects
        self._peers = peers
        self._to_node = to_node
        self._agenda = agenda
        self._witness = witness
        self._is_alive = is_alive
        self._pools: dict[tuple[SchedulingClass, int], ClassPool] = {}
        self._by_pool: dict[TaskPool, ClassPool] = {}
        self._requests: dict[int, ClassPool] = {}
        self._last_request = 0
        self.running: dict[bytes, Task] = {}
        """Tasks and actor calls that have been sent, or wait to be."""
        self.leases: dict[int, tuple[ClassPool, Lease]] = {}
        self._undelivered: set[bytes] = set()
        self._dead: dict[bytes, list[Lease]] = {}
        self._idle_check_planned = False

    # --- submitting ---------------------------------------------------------------------------------------------------

    def submit(
        self, kind: TaskKind, depth: int, dependencies: Sequence[Ref], inside: Sequence[Ref], parent: bytes
    ) -> list[Ref]:
        """`dependencies` are passed at the top level, `inside` in a value."""
        task_id = self._task_ids.next()
        call = TaskCall(task_id, b"", b"", kind.num_returns, parent_task_id=parent)
        task = Task(call, kind, kind.name, kind.max_retries)
        call.args = dump(Arguments(depth, [ref.inner() for ref in inside]))
        call.slots = list(range(len(dependencies)))
        ids = [ref.object_id for ref in dependencies]
        task.uses = [*ids, *(ref.object_id for ref in inside)]
        class_pool = self._pool_of(kind)
        task.pool = class_pool.pool
        self._witness.submitted(task_id, kind.max_retries)
        refs = self.make_returns(task)
        self.running[task_id] = task
        self._objects.table.use(task.uses)
        self._start(task, ids)
        self._objects.run_due()
        return refs

    def make_returns(self, task: Task) -> list[Ref]:
        """Creates the objects that the task is going to make, each with one local reference."""
        task.returns = [object_id_of(task.call.task_id, index) for index in range(task.call.num_returns)]
        for object_id in task.returns:
            self._objects.table.create(object_id, task)
        return [Ref(self._objects, object_id) for object_id in task.returns]

    def _pool_of(self, kind: TaskKind) -> ClassPool:
        key = (kind.scheduling_class, kind.max_calls)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = ClassPool(kind)
            self._by_pool[pool.pool] = pool
        return pool

    def _start(self, task: Task, dependencies: list[bytes]) -> None:
        entries = self._objects.table.entries
        waiting = [object_id for object_id in dependencies if entries[object_id].kind == PENDING]
        task.waiting_for = len(waiting)
        for object_id in waiting:
            self._objects.await_(object_id, entries[object_id], Waiting(lambda: self._ready(task, dependencies)))
        if not waiting:
            self._submit(task, dependencies)

    def _ready(self, task: Task, dependencies: list[bytes]) -> None:
        task.waiting_for -= 1
        if task.waiting_for == 0 and not task.cancelled:
            self._submit(task, dependencies)

    def _submit(self, task: Task, dependencies: list[bytes]) -> None:
        error = self.dependency_error(dependencies)
        if error is not None:
            self.fail_task(task, error)
            return
        task.call.deps = [self._objects.value(object_id) for object_id in dependencies]
        assert task.pool is not None
        self._carry_out(self._by_pool[task.pool], task.pool.submit(task))

    def dependency_error(self, dependencies: list[bytes]) -> bytes | None:
        """Returns the error of the first argument that has one: the task fails with the same."""
        for object_id in dependencies:
            entry = self._objects.table.entries[object_id]
            if entry.kind == ERROR:
                return bytes(entry.data)
        return None

    # --- effects ------------------------------------------------------------------------------------------------------

    def _carry_out(self, pool: ClassPool, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Push):
                self._push(effect.lease, effect.tasks)
            elif isinstance(effect, AskLeases):
                self._last_request += 1
                pool.request_id = self._last_request
                self._requests[pool.request_id] = pool
                self._to_node(RequestLease(pool.request_id, pool.scheduling_class, effect.count, pool.name))
            elif isinstance(effect, GiveLeaseBack):
                self.leases.pop(effect.lease.id, None)
                self._to_node(ReturnLease(effect.lease.id, effect.reusable))
            elif isinstance(effect, KillFor):
                self._to_node(KillWorker(effect.lease.worker_id, "cancelled with force"))
            elif isinstance(effect, WithdrawRequest):
                self._to_node(CancelLeaseRequest(pool.request_id))
                self._requests.pop(pool.request_id, None)
        if pool.pool.idle and not self._idle_check_planned:
            self._plan_idle_check(self._agenda.now + IDLE_LEASE_SECONDS)

    def _plan_idle_check(self, when: float) -> None:
        self._idle_check_planned = True
        self._agenda.at(when, self._expire_idle)

    def _expire_idle(self) -> None:
        self._idle_check_planned = False
        if not self._is_alive():
            return
        due: list[float] = []
        for pool in self._pools.values():
            effects, again = pool.pool.expire_idle(self._agenda.now, IDLE_LEASE_SECONDS)
            if again is not None:
                due.append(again)
            self._carry_out(pool, effects)
        if due and not self._idle_check_planned:
            self._plan_idle_check(min(due))

    def _push(self, lease: Lease, tasks: list[Task]) -> None:
        peer: Peer | None = lease.connection
        sent = False
        if peer is None:
            try:
                peer = lease.connection = self._peers.connect_to(lease.address)
            except Unreachable:
                peer = None
        if peer is not None:
            for task in tasks:
                task.call.alone = task.alone
            sent = peer.send(PushTasks([task.call for task in tasks]))
        if not sent:
            self._undelivered.update(task.call.task_id for task in tasks)
            self._agenda.after(0.0, lambda: self._lease_lost(lease))

    # --- what the node says -------------------------------------------------------------------------------------------

    def lease_granted(self, message: LeaseGranted) -> None:
        pool = self._requests.get(message.request_id)
        if pool is None or (not pool.pool.ready and pool.pool.asked == 0):
            self._to_node(ReturnLease(message.lease_id, True))
            return
        if message.remaining == 0:
            self._requests.pop(message.request_id, None)
        lease = Lease(message.lease_id, message.worker_id, message.address, message.gpu_ids)
        self.leases[lease.id] = (pool, lease)
        self._carry_out(pool, pool.pool.granted(lease, message.remaining, self._agenda.now))

    def lease_refused(self, message: LeaseRefused) -> None:
        pool = self._requests.pop(message.request_id, None)
        if pool is None:
            return
        pool.pool.asked = 0
        for task in pool.pool.refuse():
            self.fail_task(task, message.error)
        self._objects.run_due()

    def lease_reclaimed(self, lease_id: int) -> None:
        found = self.leases.get(lease_id)
        if found is not None:
            self._carry_out(found[0], found[0].pool.reclaimed(lease_id))

    def peer_gone(self, peer: Peer) -> None:
        for lease in [lease for _, lease in self.leases.values() if lease.connection is peer]:
            self._lease_lost(lease)

    def _lease_lost(self, lease: Lease) -> None:
        found = self.leases.get(lease.id)
        if found is not None and not lease.lost and self._is_alive():
            found[0].pool.lost(lease)
            self._dead.setdefault(lease.worker_id, []).append(lease)
            self._to_node(WhyDied(lease.worker_id))

    def worker_died(self, worker_id: bytes) -> None:
        """The node explains a death: retry what may be retried, fail the rest with the cause."""
        lost = self._dead.pop(worker_id, [])
        lost.extend(lease for _, lease in self.leases.values() if lease.worker_id == worker_id and lease not in lost)
        for lease in lost:
            self._retry(lease)
        self._objects.run_due()

    def _retry(self, lease: Lease) -> None:
        found = self.leases.pop(lease.id, None)
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
                self.fail_task(task, dump(Failure(values.CANCELLED, task.call.task_id)))
            elif not exact and task.retries_left != 0:
                again.append(task)
            elif task.retries_left != 0:
                self.count_retry(task)
                again.append(task)
            else:
                self.forget_results(task)
                self.fail_task(task, dump(Failure(values.CRASHED, task.call.task_id)))
        self._carry_out(pool, pool.pool.retry(again, alone=True))

    def forget_results(self, task: Task) -> None:
        self._to_node(FreeObjects(task.returns))

    def count_retry(self, task: Task) -> None:
        if task.retries_left > 0:
            task.retries_left -= 1
        task.attempt += 1
        task.call.attempt = task.attempt

    # --- what workers say ---------------------------------------------------------------------------------------------

    def tasks_done(self, results: list[TaskResult], worker_id: bytes) -> None:
        by_lease: dict[int, tuple[Lease, list[bytes], list[float]]] = {}
        again: list[Task] = []
        for result in results:
            task = self.running.get(result.task_id)
            lease = task.lease if task is not None else None
            if task is None or lease is None or lease.worker_id != worker_id:
                self._objects.declined(result)
                continue
            group = by_lease.setdefault(lease.id, (lease, [], []))
            group[1].append(result.task_id)
            group[2].append(result.ended - result.started)
            if result.kept:
                self._objects.handed_on(result.kept, worker_id, task.uses)
            if result.kind == ERROR and self.shall_retry(task, result):
                self.count_retry(task)
                again.append(task)
                continue
            self.finish_task(task, result, worker_id)
        for lease, ids, durations in by_lease.values():
            found = self.leases.get(lease.id)
            if found is not None:
                pool = found[0]
                self._carry_out(pool, pool.pool.finished(lease, ids, durations, self._agenda.now))
        for task in again:
            assert task.pool is not None
            self._carry_out(self._by_pool[task.pool], task.pool.retry([task], alone=False))
        self._objects.run_due()

    def shall_retry(self, task: Task, result: TaskResult) -> bool:
        may = result.retryable and task.retries_left != 0 and not task.cancelled
        return bool(may and task.template.retry_exceptions)

    def finish_task(self, task: Task, result: TaskResult, worker_id: bytes) -> None:
        """A task ended: its results are there, what it needed is let go."""
        self.running.pop(task.call.task_id, None)
        if task.cancelled and result.kind == ERROR and not result.retryable:
            result.data = dump(Failure(values.CANCELLED, task.call.task_id))
        if result.values and result.kind != ERROR:
            for value in result.values:
                self._objects.complete(
                    value.object_id, value.kind, value.data, value.size, value.nodes, value.contained
                )
        else:
            nodes = [self._objects.node_id] if result.size else []
            for object_id in task.returns:
                self._objects.complete(object_id, result.kind, result.data, result.size, nodes, result.contained)
        if task.retried or task.attempt:
            stored = {value.object_id for value in result.values if value.kind == STORED}
            if result.kind != STORED:
                self._to_node(FreeObjects([object_id for object_id in task.returns if object_id not in stored]))
        self._witness.ended(task.call.task_id)
        self._release_uses(task)

    def fail_task(self, task: Task, error: bytes) -> None:
        """The task will not run (again): everybody who waits for it gets this error."""
        if task.retried or task.attempt:
            self.forget_results(task)
        self.running.pop(task.call.task_id, None)
        for object_id in task.returns:
            self._objects.complete(object_id, ERROR, error)
        self._witness.ended(task.call.task_id)
        self._release_uses(task)

    def _release_uses(self, task: Task) -> None:
        uses, task.uses = task.uses, []
        self._objects.carry_out(self._objects.table.end_use(uses))
        task.call.args = b""
        task.call.deps = []

    def handed_back(self, task_ids: list[bytes], worker_id: bytes) -> None:
        by_lease: dict[int, tuple[Lease, list[bytes]]] = {}
        for task_id in task_ids:
            task = self.running.get(task_id)
            if task is not None and task.lease is not None and task.lease.worker_id == worker_id:
                by_lease.setdefault(task.lease.id, (task.lease, []))[1].append(task_id)
        for lease, ids in by_lease.values():
            found = self.leases.get(lease.id)
            if found is not None:
                self._carry_out(found[0], found[0].pool.handed_back(lease, ids, self._agenda.now))
        for task_id in task_ids:
            task = self.running.get(task_id)
            if task is not None and task.cancelled and task.lease is None:
                self.fail_task(task, dump(Failure(values.CANCELLED, task_id)))
        self._objects.run_due()

    # --- cancelling ---------------------------------------------------------------------------------------------------

    def cancel(self, task: Task, force: bool, recursive: bool) -> None:
        task.cancelled = True
        task.retries_left = 0
        if task.state == PUSHED and task.lease is not None:
            lease = task.lease
            if force:
                pool = self.leases[lease.id][0]
                self._carry_out(pool, pool.pool.force(lease, task))
            if not lease.doomed and lease.connection is not None:
                lease.connection.send(CancelTask(task.call.task_id, recursive))
            return
        if task.pool is not None:
            task.pool.withdraw(task)
        self.fail_task(task, dump(Failure(values.CANCELLED, task.call.task_id)))

    def children_of(self, task_id: bytes) -> list[Task]:
        return [task for task in self.running.values() if task.call.parent_task_id == task_id]

    # --- looking inside -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        for pool in self._pools.values():
            pool.pool.check()

    def left_over(self) -> list[str]:
        """Says what is still there when everything should have ended."""
        found = [f"task {task_id.hex()} ({task.state})" for task_id, task in self.running.items()]
        found += [f"lease {lease_id}" for lease_id in self.leases]
        found += [f"lease request {request_id}" for request_id in self._requests]
        found += [f"worker {worker_id.hex()} mourned" for worker_id in self._dead]
        found += [f"undelivered {task_id.hex()}" for task_id in self._undelivered]
        for pool in self._pools.values():
            if pool.pool.ready or pool.pool.leases or pool.pool.asked:
                found.append(f"pool {pool.name}: {pool.pool.story()}")
        return found

    def stories(self) -> list[str]:
        return [f"pool {pool.name}: {pool.pool.story()}" for pool in self._pools.values()]
