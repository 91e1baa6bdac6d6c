"""Tasks of one owner and one scheduling class: from submitted to finished, over leased workers.

A life: *ready* (its arguments are there), *pushed* to a leased worker, *finished*; or back to ready, when the worker hands it back
unbegun, or dies and attempts are left. A lease is asked for while tasks are ready, and given back when it has been
idle for a while, or as soon
as the node wants it and the worker has nothing of ours.

Pipelining: a worker is sent the next tasks before it has ended the first, about PIPELINE_SECONDS' worth by the
measured duration of the class, so that
neither side waits for the other. A worker whose running task blocks, or takes longer than expected, hands back
what it has not begun. A task that
may not run twice, or that was on a worker that died, goes *alone*: nothing before or behind it, so that blame is exact.

Hot path: events are direct method calls, effects come back as a list. The shell holds a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

PIPELINE_SECONDS = 0.004
MAX_DEPTH = 1000
BATCH = 64
MAX_LEASES_ASKED = 1000

READY = "ready"
PUSHED = "pushed"
FINISHED = "finished"


class Task:
    """One task of this owner, over all its attempts."""

    __slots__ = (
        "actor_id",
        "alone",
        "attempt",
        "call",
        "cancelled",
        "definition",
        "fields",
        "forced",
        "lease",
        "name",
        "pool",
        "retried",
        "retries_left",
        "returns",
        "state",
        "stream",
        "submitted",
        "template",
        "uses",
        "waiting_for",
    )

    def __init__(self, call: Any, template: Any, name: str, retries_left: int) -> None:
        self.call = call
        self.template = template
        self.name = name
        self.retries_left = retries_left
        """-1 = for ever."""
        self.attempt = 0
        self.retried = False
        """It may have begun before, whether or not that counts as an attempt."""
        self.alone = retries_left == 0
        self.cancelled = False
        self.forced = False
        """It was cancelled with force, and its worker is to be killed if it begins."""
        self.state = READY
        self.lease: Lease | None = None
        self.pool: TaskPool | None = None
        self.returns: list[bytes] = []
        self.uses: list[bytes] = []
        """Objects that must live until the task has ended."""
        self.waiting_for = 0
        """Arguments that are not there yet."""
        self.stream: Any = None
        self.definition: Any = None
        self.submitted = 0.0
        self.actor_id = b""
        """Whose method it is."""
        self.fields: dict[str, Any] | None = None


class Lease:
    """One worker, lent to this owner for one scheduling class."""

    __slots__ = (
        "address",
        "calls",
        "connection",
        "doomed",
        "exact",
        "gpu_ids",
        "id",
        "idle_since",
        "in_flight",
        "lost",
        "reclaimed",
        "stalled",
        "worker_id",
    )

    def __init__(self, id: int, worker_id: bytes, address: str, gpu_ids: list[int]) -> None:
        self.id = id
        self.worker_id = worker_id
        self.address = address
        self.gpu_ids = gpu_ids
        self.in_flight: dict[bytes, Task] = {}
        """Pushed and not finished, in order."""
        self.calls = 0
        self.reclaimed = False
        self.stalled = False
        """It handed tasks back: send no more until it has finished one."""
        self.exact = False
        """An `alone` task is on it."""
        self.lost = False
        self.doomed = False
        """Its worker is about to be killed."""
        self.idle_since = 0.0
        self.connection: Any = None


class Push:
    """Effect: send these tasks to the lease's worker."""

    __slots__ = ("lease", "tasks")

    def __init__(self, lease: Lease, tasks: list[Task]) -> None:
        self.lease = lease
        self.tasks = tasks


class AskLeases:
    """Effect: ask the node for `count` leases."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class WithdrawRequest:
    """Effect: the outstanding request for leases is not needed any more."""

    __slots__ = ()


class GiveLeaseBack:
    """Effect: return the lease to the node."""

    __slots__ = ("lease", "reusable")

    def __init__(self, lease: Lease, reusable: bool) -> None:
        self.lease = lease
        self.reusable = reusable


class KillFor:
    """Effect: kill the worker that runs a task which was cancelled with force."""

    __slots__ = ("lease", "task")

    def __init__(self, lease: Lease, task: Task) -> None:
        self.lease = lease
        self.task = task


Effect = Push | AskLeases | WithdrawRequest | GiveLeaseBack | KillFor


class TaskPool:
    """All tasks of one scheduling class of one owner, and the leases they run on."""

    def __init__(self, max_calls: int = 0) -> None:
        self._max_calls = max_calls
        self._duration = -1.0
        """Moving average of what a task takes, in seconds; -1 = none has ended yet."""
        self.ready: deque[Task] = deque()
        self.leases: dict[int, Lease] = {}
        self.idle: list[Lease] = []
        self.asked = 0
        """Grants still to come for the outstanding request."""

    # --- events ---------------------------------------------------------------------------------------------------------------

    def submit(self, task: Task) -> list[Effect]:
        """A task whose arguments are there."""
        task.pool = self
        if self.idle and not self.ready:
            lease = self.idle.pop()
            return [self._push(lease, [task])]
        ready = self.ready
        ready.append(task)
        if self.asked == 0:
            self.asked = 1
            return [AskLeases(1)]
        if len(ready) % BATCH == 0:
            return self._spread()
        return []

    def granted(self, lease: Lease, remaining: int, now: float) -> list[Effect]:
        """The node lent a worker."""
        self.asked = remaining
        self.leases[lease.id] = lease
        effects: list[Effect] = []
        self._refill(lease, now, effects)
        self._ask(effects)
        return effects

    def finished(self, lease: Lease, task_ids: Iterable[bytes], durations: Iterable[float], now: float) -> list[Effect]:
        """These tasks of a lease ended, one way or the other (what that means for their results is the owner's business)."""
        in_flight = lease.in_flight
        average = self._duration
        for task_id, duration in zip(task_ids, durations, strict=True):
            task = in_flight.pop(task_id, None)
            if task is None:
                continue
            task.state = FINISHED
            task.lease = None
            lease.calls += 1
            if average < 0:
                average = duration
            else:
                average += (duration - average) * (0.2 if duration < average else 0.4)
        self._duration = average
        lease.stalled = False
        effects: list[Effect] = []
        if not in_flight:
            lease.exact = False
        elif not lease.doomed and (first := next(iter(in_flight.values()))).forced:
            effects.extend(self._doom(lease, first))
        self._refill(lease, now, effects)
        return effects

    def handed_back(self, lease: Lease, task_ids: Iterable[bytes], now: float) -> list[Effect]:
        """The worker has not begun these, and will not. Those that have been cancelled meanwhile run nowhere else: they are on no lease
        then, and the owner lets them fail."""
        lease.stalled = True
        back = [task for task in (lease.in_flight.pop(task_id, None) for task_id in task_ids) if task is not None]
        for task in reversed(back):
            task.state = READY
            task.lease = None
            if not task.cancelled:
                self.ready.appendleft(task)
        effects: list[Effect] = []
        if not lease.in_flight:
            lease.stalled = False
            self._refill(lease, now, effects)
        effects.extend(self._spread())
        self._ask(effects)
        return effects

    def lost(self, lease: Lease) -> None:
        """The lease's worker cannot be reached any more: it gets nothing more, and why will be known (`worker_died`)."""
        lease.lost = True
        if lease in self.idle:
            self.idle.remove(lease)

    def worker_died(self, lease: Lease) -> tuple[list[Task], bool]:
        """The worker is gone. Returns its tasks in order, and whether the first is known to be the one that ran."""
        lease.lost = True
        self.leases.pop(lease.id, None)
        if lease in self.idle:
            self.idle.remove(lease)
        tasks = list(lease.in_flight.values())
        lease.in_flight.clear()
        for task in tasks:
            task.lease = None
        return tasks, len(tasks) == 1

    def retry(self, tasks: list[Task], alone: bool) -> list[Effect]:
        """These shall run (again), before the others."""
        for task in reversed(tasks):
            task.alone = task.alone or alone
            task.retried = True
            task.state = READY
            self.ready.appendleft(task)
        effects = self._spread()
        self._ask(effects)
        return effects

    def refuse(self) -> list[Task]:
        """The node can never grant a lease of this class: returns all tasks that wait for one."""
        tasks = list(self.ready)
        self.ready.clear()
        self.asked = 0
        return tasks

    def withdraw(self, task: Task) -> bool:
        """Takes back a task that has not been pushed. Returns False where it has."""
        try:
            self.ready.remove(task)
        except ValueError:
            return False
        return True

    def reclaimed(self, lease_id: int) -> list[Effect]:
        """The node wants this lease back as soon as it is free."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return []
        lease.reclaimed = True
        if lease.in_flight:
            return []
        if lease in self.idle:
            self.idle.remove(lease)
        effects: list[Effect] = [self._give_back(lease)]
        self._ask(effects)
        return effects

    def force(self, lease: Lease, task: Task) -> list[Effect]:
        """A task that has been pushed is cancelled with force. Its worker is killed once no other task, which may run there, is before it:
        the worker drops the task rather, where it is told in time."""
        if next(iter(lease.in_flight.values())) is task:
            return self._doom(lease, task)
        task.forced = True
        return []

    def _doom(self, lease: Lease, task: Task) -> list[Effect]:
        """The worker gets nothing more, also if the task ends before it is killed."""
        lease.doomed = True
        return [KillFor(lease, task), *self.reclaimed(lease.id)]

    def expire_idle(self, now: float, linger: float) -> tuple[list[Effect], float | None]:
        """Returns leases that have been idle for `linger` seconds, and when to ask again (None: nothing is idle)."""
        effects: list[Effect] = []
        keep = []
        for lease in self.idle:
            if now >= lease.idle_since + linger:
                effects.append(self._give_back(lease))
            else:
                keep.append(lease)
        self.idle = keep
        return effects, (min(lease.idle_since for lease in keep) + linger if keep else None)

    # --- decisions ----------------------------------------------------------------------------------------------------------------

    def _depth(self) -> int:
        if self._duration < 0 or self._max_calls:
            return 1
        return max(1, min(MAX_DEPTH, int(PIPELINE_SECONDS / (self._duration + 1e-6))))

    def _push(self, lease: Lease, tasks: list[Task]) -> Push:
        in_flight = lease.in_flight
        for task in tasks:
            task.state = PUSHED
            task.lease = lease
            in_flight[task.call.task_id] = task
        if tasks[0].alone:
            lease.exact = True
        return Push(lease, tasks)

    def _take(self, count: int) -> list[Task]:
        """The next tasks that may go to one worker together."""
        ready = self.ready
        first = ready.popleft()
        tasks = [first]
        if first.alone:
            return tasks
        while len(tasks) < count and ready and not ready[0].alone:
            tasks.append(ready.popleft())
        return tasks

    def _room(self, lease: Lease) -> int:
        """How many more tasks the lease's worker may be sent now."""
        if lease.lost or lease.reclaimed or lease.stalled or lease.exact:
            return 0
        if self.ready[0].alone:
            return 0 if lease.in_flight else 1
        return self._depth() - len(lease.in_flight)

    def _refill(self, lease: Lease, now: float, effects: list[Effect]) -> None:
        if self._max_calls and lease.calls >= self._max_calls and not lease.in_flight:
            effects.append(self._give_back(lease))
            self._ask(effects)
            return
        if lease.reclaimed and not lease.in_flight:
            effects.append(self._give_back(lease))
            self._ask(effects)
            return
        ready = self.ready
        if ready:
            room = self._room(lease)
            if room > 0 and (not lease.in_flight or room * 2 >= self._depth()):
                share = -(-len(ready) // len(self.leases))
                effects.append(self._push(lease, self._take(min(room, share))))
                if not ready and self.asked:
                    self.asked = 0
                    effects.append(WithdrawRequest())
                return
        if not lease.in_flight and not lease.lost and lease not in self.idle:
            lease.idle_since = now
            self.idle.append(lease)
            if self.asked and not ready:
                self.asked = 0
                effects.append(WithdrawRequest())

    def _spread(self) -> list[Effect]:
        """Hands ready tasks to leases that have room."""
        effects: list[Effect] = []
        while self.idle and self.ready:
            lease = self.idle.pop()
            share = -(-len(self.ready) // max(1, len(self.leases)))
            effects.append(self._push(lease, self._take(min(self._depth(), share))))
        if len(self.ready) >= BATCH:
            for lease in self.leases.values():
                if not self.ready:
                    break
                room = self._room(lease)
                if room >= BATCH:
                    effects.append(self._push(lease, self._take(min(room, BATCH))))
        return effects

    def _ask(self, effects: list[Effect]) -> None:
        if self.ready and self.asked == 0:
            self.asked = min(len(self.ready), MAX_LEASES_ASKED)
            effects.append(AskLeases(self.asked))

    def _give_back(self, lease: Lease) -> GiveLeaseBack:
        self.leases.pop(lease.id, None)
        used_up = bool(self._max_calls) and lease.calls >= self._max_calls
        return GiveLeaseBack(lease, not (used_up or lease.doomed))

    # --- looking inside --------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for lease in self.leases.values():
            for task in lease.in_flight.values():
                assert task.state == PUSHED and task.lease is lease
            if lease.exact:
                assert len(lease.in_flight) <= 1, f"lease {lease.id} runs a task that must be alone, with others"
        for lease in self.idle:
            assert not lease.in_flight, f"lease {lease.id} is idle, yet has tasks"
            assert lease.id in self.leases
            assert not lease.lost, f"lease {lease.id} is lost, yet idle"
        for task in self.ready:
            assert task.state == READY and task.lease is None
        if self.ready and not self.leases:
            assert self.asked > 0, "tasks are ready, there is no lease, and none is asked for"

    def story(self) -> str:
        """Says how things stand, for people."""
        return (
            f"{len(self.ready)} ready, {sum(len(lease.in_flight) for lease in self.leases.values())} pushed over {len(self.leases)} leases "
            f"({len(self.idle)} idle), {self.asked} more asked for, {max(self._duration, 0.0) * 1000:.3f} ms a task, depth {self._depth()}"
        )
