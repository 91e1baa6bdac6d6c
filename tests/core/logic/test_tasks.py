"""`logic/tasks.py`: one owner's tasks of one class, against a model of the node and its workers."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal._core.logic.tasks import (
    FINISHED,
    PUSHED,
    AskLeases,
    GiveLeaseBack,
    KillFor,
    Lease,
    Push,
    Task,
    TaskPool,
    WithdrawRequest,
)
from shoal._core.schema.messages import TaskCall


def make_task(number: int, retries: int = 3) -> Task:
    return Task(TaskCall(number.to_bytes(24, "big"), b"f", b""), None, "f", retries)


def make_lease(number: int) -> Lease:
    return Lease(number, number.to_bytes(16, "big"), "unix:@w", [])


def finish(pool: TaskPool, lease: Lease, tasks: list[Task], seconds: float = 1e-5, now: float = 0.0) -> list[object]:
    return list(pool.finished(lease, [task.call.task_id for task in tasks], [seconds] * len(tasks), now))


def test_the_first_task_asks_for_a_lease_and_goes_out_with_it() -> None:
    pool = TaskPool()
    task = make_task(1)
    (ask,) = pool.submit(task)
    assert isinstance(ask, AskLeases)
    assert ask.count == 1
    lease = make_lease(1)
    (push,) = pool.granted(lease, 0, 0.0)
    assert isinstance(push, Push)
    assert push.tasks == [task]
    assert task.state == PUSHED
    pool.check()


def test_an_idle_lease_takes_the_next_task_at_once() -> None:
    pool = TaskPool()
    first, second = make_task(1), make_task(2)
    pool.submit(first)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    assert finish(pool, lease, [first]) == []
    assert first.state == FINISHED
    (push,) = pool.submit(second)
    assert isinstance(push, Push)
    assert push.tasks == [second]


def test_short_tasks_are_pipelined_and_long_ones_are_not() -> None:
    for seconds, deep in ((1e-5, True), (1.0, False)):
        pool = TaskPool()
        first = make_task(0)
        pool.submit(first)
        lease = make_lease(1)
        pool.granted(lease, 0, 0.0)
        for number in range(1, 100):
            pool.submit(make_task(number))
        push = finish(pool, lease, [first], seconds)[0]
        assert isinstance(push, Push)
        assert (len(push.tasks) > 1) is deep


def test_tasks_that_may_not_run_twice_go_alone() -> None:
    pool = TaskPool()
    pool._duration = 1e-6
    tasks = [make_task(number, retries=0) for number in range(3)]
    for task in tasks:
        pool.submit(task)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    assert list(lease.in_flight.values()) == tasks[:1]
    finish(pool, lease, tasks[:1])
    assert list(lease.in_flight.values()) == tasks[1:2]
    pool.check()


def test_what_a_blocked_worker_hands_back_goes_elsewhere_in_order() -> None:
    pool = TaskPool()
    pool._duration = 1e-6
    tasks = [make_task(number) for number in range(4)]
    for task in tasks:
        pool.submit(task)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    assert len(lease.in_flight) == 4
    (ask,) = pool.handed_back(lease, [task.call.task_id for task in tasks[1:]], 0.0)
    assert isinstance(ask, AskLeases)
    assert list(pool.ready) == tasks[1:]
    other = make_lease(2)
    pool.granted(other, 2, 0.0)
    assert list(other.in_flight.values())[:1] == tasks[1:2]
    assert list(lease.in_flight.values()) == tasks[:1]
    pool.check()


def test_a_death_with_several_tasks_on_board_blames_nobody_and_one_alone_is_blamed() -> None:
    pool = TaskPool()
    pool._duration = 1e-6
    tasks = [make_task(number) for number in range(3)]
    for task in tasks:
        pool.submit(task)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    lost, exact = pool.worker_died(lease)
    assert lost == tasks
    assert not exact
    pool.retry(lost, alone=True)
    second = make_lease(2)
    pool.granted(second, 0, 0.0)
    assert list(second.in_flight.values()) == tasks[:1]
    lost, exact = pool.worker_died(second)
    assert lost == tasks[:1]
    assert exact


def test_a_reclaimed_lease_goes_back_when_its_tasks_have_ended() -> None:
    pool = TaskPool()
    tasks = [make_task(number) for number in range(2)]
    pool.submit(tasks[0])
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    pool.submit(tasks[1])
    assert pool.reclaimed(lease.id) == []
    effects = finish(pool, lease, tasks[:1])
    assert any(isinstance(effect, GiveLeaseBack) and effect.lease is lease for effect in effects)
    assert pool.asked > 0
    pool.check()


def test_a_lease_whose_worker_will_be_killed_gets_nothing_more_and_goes_back_for_good() -> None:
    pool = TaskPool()
    tasks = [make_task(number) for number in range(2)]
    pool.submit(tasks[0])
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    (kill,) = pool.force(lease, tasks[0])
    assert isinstance(kill, KillFor)
    assert (kill.lease, kill.task) == (lease, tasks[0])
    pool.submit(tasks[1])
    assert list(lease.in_flight.values()) == tasks[:1]
    effects = finish(pool, lease, tasks[:1])
    assert [effect.reusable for effect in effects if isinstance(effect, GiveLeaseBack)] == [False]
    assert pool.asked > 0
    pool.check()


def pool_with_three_on_one_lease() -> tuple[TaskPool, Lease, list[Task]]:
    pool = TaskPool()
    tasks = [make_task(number) for number in range(4)]
    pool.submit(tasks[0])
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    for task in tasks[1:]:
        pool.submit(task)
    finish(pool, lease, tasks[:1])
    assert list(lease.in_flight.values()) == tasks[1:]
    return pool, lease, tasks[1:]


def test_a_task_that_is_cancelled_by_force_behind_another_does_not_take_it_along() -> None:
    pool, lease, (running, forced, behind) = pool_with_three_on_one_lease()
    assert pool.force(lease, forced) == []
    # The worker has dropped it: nothing is killed.
    assert not [effect for effect in finish(pool, lease, [forced]) if isinstance(effect, KillFor)]
    assert not [effect for effect in finish(pool, lease, [running]) if isinstance(effect, KillFor)]
    assert list(lease.in_flight.values()) == [behind]
    pool.check()


def test_a_task_that_was_cancelled_by_force_and_begins_all_the_same_ends_with_its_worker() -> None:
    pool, lease, (running, forced, behind) = pool_with_three_on_one_lease()
    pool.force(lease, forced)
    (kill,) = [effect for effect in finish(pool, lease, [running]) if isinstance(effect, KillFor)]
    assert (kill.lease, kill.task) == (lease, forced)
    assert list(lease.in_flight.values()) == [forced, behind]
    pool.check()


def test_a_task_that_is_handed_back_after_it_was_cancelled_goes_nowhere_else() -> None:
    pool, lease, (_, cancelled, behind) = pool_with_three_on_one_lease()
    other = make_lease(2)
    pool.granted(other, 0, 0.0)
    assert pool.idle == [other]
    cancelled.cancelled = True
    effects = pool.handed_back(lease, [cancelled.call.task_id, behind.call.task_id], 0.0)
    assert [effect.tasks for effect in effects if isinstance(effect, Push)] == [[behind]]
    assert cancelled.lease is None
    pool.check()


def test_an_idle_lease_is_returned_after_a_while() -> None:
    pool = TaskPool()
    task = make_task(1)
    pool.submit(task)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    finish(pool, lease, [task], now=10.0)
    effects, again = pool.expire_idle(10.01, 0.05)
    assert effects == []
    assert again == pytest.approx(10.05)
    effects, again = pool.expire_idle(10.06, 0.05)
    assert isinstance(effects[0], GiveLeaseBack)
    assert again is None


def test_a_worker_is_not_used_beyond_max_calls() -> None:
    pool = TaskPool(max_calls=1)
    tasks = [make_task(number) for number in range(2)]
    for task in tasks:
        pool.submit(task)
    lease = make_lease(1)
    pool.granted(lease, 0, 0.0)
    effects = finish(pool, lease, tasks[:1])
    back = next(effect for effect in effects if isinstance(effect, GiveLeaseBack))
    assert not back.reusable


class World:
    """A node with a few workers, and what can happen to them; drives a pool until all tasks have ended."""

    def __init__(self, seed: int, tasks: int, workers: int) -> None:
        self.random = random.Random(seed)
        self.pool = TaskPool()
        self.tasks = [make_task(number, self.random.choice([0, 3, -1])) for number in range(tasks)]
        self.to_submit = deque(self.tasks)
        self.free = workers
        self.wanted = 0
        self.leases: dict[int, Lease] = {}
        self.next_lease = 1
        self.now = 0.0
        self.runs: dict[bytes, int] = {}
        self.ended: set[bytes] = set()

    def carry_out(self, effects: list[object]) -> None:
        for effect in effects:
            if isinstance(effect, AskLeases):
                assert self.wanted == 0, "asked twice"
                self.wanted = effect.count
            elif isinstance(effect, WithdrawRequest):
                self.wanted = 0
            elif isinstance(effect, GiveLeaseBack):
                assert not effect.lease.in_flight
                del self.leases[effect.lease.id]
                self.free += 1
            elif isinstance(effect, Push):
                assert effect.lease.id in self.leases, "pushed to a lease that was given back"
                assert not any(task.call.task_id in self.ended for task in effect.tasks)
        self.pool.check()

    def step(self) -> None:
        self.now += self.random.random() * 0.01
        choices = []
        if self.to_submit:
            choices += [self.submit] * 3
        if self.wanted and self.free:
            choices += [self.grant] * 3
        busy = [lease for lease in self.leases.values() if lease.in_flight]
        if busy:
            choices += [self.finish] * 5 + [self.die, self.hand_back]
        if self.leases:
            choices += [self.reclaim, self.expire]
        self.random.choice(choices)()

    def submit(self) -> None:
        for _ in range(self.random.choice([1, 1, 70])):
            if self.to_submit:
                self.carry_out(list(self.pool.submit(self.to_submit.popleft())))

    def grant(self) -> None:
        self.free -= 1
        self.wanted -= 1
        lease = make_lease(self.next_lease)
        self.next_lease += 1
        self.leases[lease.id] = lease
        self.carry_out(list(self.pool.granted(lease, self.wanted, self.now)))

    def _busy(self) -> Lease:
        return self.random.choice([lease for lease in self.leases.values() if lease.in_flight])

    def finish(self) -> None:
        lease = self._busy()
        count = self.random.randint(1, len(lease.in_flight))
        done = list(lease.in_flight.values())[:count]
        for task in done:
            self.ended.add(task.call.task_id)
        duration = self.random.choice([1e-6, 1e-4, 0.1])
        self.carry_out(finish(self.pool, lease, done, duration, self.now))

    def hand_back(self) -> None:
        lease = self._busy()
        back = list(lease.in_flight)[1:]
        if back:
            self.carry_out(list(self.pool.handed_back(lease, back, self.now)))

    def die(self) -> None:
        lease = self._busy()
        del self.leases[lease.id]
        self.free += 1
        tasks, exact = self.pool.worker_died(lease)
        again = []
        for task in tasks:
            if exact and task.retries_left == 0:
                self.ended.add(task.call.task_id)
            else:
                assert exact or task.retries_left != 0, "a task that may not run twice was not alone"
                if exact and task.retries_left > 0:
                    task.retries_left -= 1
                again.append(task)
        self.carry_out(list(self.pool.retry(again, alone=True)))

    def reclaim(self) -> None:
        lease_id = self.random.choice(list(self.leases))
        self.carry_out(list(self.pool.reclaimed(lease_id)))

    def expire(self) -> None:
        effects, _ = self.pool.expire_idle(self.now, 0.05)
        self.carry_out(list(effects))

    def run(self) -> None:
        for _ in range(20_000):
            if len(self.ended) == len(self.tasks):
                return
            self.step()
        raise AssertionError(f"not all tasks have ended: {self.pool.story()}")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), tasks=st.integers(1, 200), workers=st.integers(1, 4))
def test_every_task_ends_whatever_happens_to_workers(seed: int, tasks: int, workers: int) -> None:
    World(seed, tasks, workers).run()
