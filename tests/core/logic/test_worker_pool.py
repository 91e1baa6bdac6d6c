"""Workers: started as needed, the warmest reused, a few kept."""

from __future__ import annotations

import pytest

from shoal._core.logic.worker_pool import (
    DISMISS,
    DOOMED,
    IDLE,
    KEEP,
    KILL,
    LEASED,
    LEAVING,
    LEND,
    RETIRE,
    RETIRED,
    RETURN,
    TRANSITIONS,
    Worker,
    WorkerPool,
)
from shoal.exceptions import ShoalSystemError


@pytest.fixture
def pool() -> WorkerPool:
    return WorkerPool(warm=2, most_starting=3)


def take(pool: WorkerPool, environment_key: str = "") -> Worker:
    worker = pool.take(environment_key)
    assert worker is not None
    worker.lease = object()  # type: ignore[assignment]
    return worker


def test_starts_are_bounded_by_those_who_wait_and_by_the_machine(pool: WorkerPool) -> None:
    assert pool.start("", 2) == [1, 2]
    assert pool.start("", 2) == [], "two are on the way"
    assert pool.start("other", 5) == [3], "three at a time"
    assert pool.start_ended(1) == ""
    assert pool.start_ended(1) is None
    assert pool.start("other", 5) == [4]


def test_the_last_used_is_taken_first(pool: WorkerPool) -> None:
    pool.arrived(b"a", "", 0.0)
    pool.arrived(b"b", "", 1.0)
    first = take(pool)
    second = take(pool)
    assert (first.id, second.id) == (b"b", b"a")
    assert pool.take("") is None
    pool.give_back(first, True, 2.0)
    pool.give_back(second, True, 3.0)
    assert take(pool).id == b"a"
    pool.check()


def test_environments_do_not_mix(pool: WorkerPool) -> None:
    pool.arrived(b"a", "one", 0.0)
    assert pool.take("") is None
    assert take(pool, "one").id == b"a"


def test_the_least_used_leave_when_there_are_too_many(pool: WorkerPool) -> None:
    for number, name in enumerate((b"a", b"b", b"c", b"d")):
        pool.arrived(name, "", float(number))
    assert pool.surplus_from(1.0) == 1.0
    assert pool.surplus(0.5, 1.0) == []
    assert [worker.id for worker in pool.surplus(5.0, 1.0)] == [b"a", b"b"]
    assert pool.surplus_from(1.0) is None
    assert pool.workers[b"a"].state == LEAVING
    pool.check()


def test_workers_of_other_environments_make_room(pool: WorkerPool) -> None:
    pool.arrived(b"a", "one", 0.0)
    pool.arrived(b"b", "two", 1.0)
    assert pool.make_room() == []
    pool.start("three", 1)
    assert [worker.id for worker in pool.make_room()] == [b"a"]


def test_one_that_is_needed_is_kept_and_not_asked_again_until_it_is_used(pool: WorkerPool) -> None:
    for name in (b"a", b"b", b"c"):
        pool.arrived(name, "", 0.0)
    [worker] = pool.surplus(5.0, 1.0)
    pool.kept(worker, 6.0)
    assert worker.state == IDLE
    assert pool.surplus(100.0, 1.0) == []
    pool.check()
    taken = take(pool)
    assert taken is worker
    pool.give_back(worker, True, 101.0)
    assert not worker.kept
    assert [worker.id for worker in pool.surplus(200.0, 1.0)] == [b"b"]


def test_retired_workers_are_not_lent(pool: WorkerPool) -> None:
    pool.arrived(b"a", "", 0.0)
    worker = take(pool)
    assert pool.give_back(worker, False, 1.0)
    assert worker.state == RETIRED
    assert pool.take("") is None
    pool.check()


def test_the_dead_are_forgotten(pool: WorkerPool) -> None:
    pool.arrived(b"a", "", 0.0)
    pool.arrived(b"b", "", 0.0)
    leased = take(pool)
    assert pool.gone(leased.id) is leased
    assert pool.gone(b"a") is not None
    assert pool.gone(b"a") is None
    assert pool.take("") is None
    assert not pool.workers
    pool.check()


def test_what_is_not_in_the_table_is_an_error(pool: WorkerPool) -> None:
    worker = pool.arrived(b"a", "", 0.0)
    with pytest.raises(ShoalSystemError, match="is idle; it cannot return"):
        worker.move(RETURN)
    with pytest.raises(ShoalSystemError, match="cannot arrive again"):
        pool.arrived(b"a", "", 0.0)


@pytest.mark.parametrize("state", [IDLE, LEASED, LEAVING, RETIRED, DOOMED])
def test_the_table(state: int) -> None:
    allowed = {event for start, event in TRANSITIONS if start == state}
    for event in (LEND, RETURN, RETIRE, DISMISS, KEEP, KILL):
        worker = Worker(b"a", "")
        worker.state = state
        if event in allowed:
            worker.move(event)
            assert worker.state == TRANSITIONS[state, event]
        else:
            with pytest.raises(ShoalSystemError):
                worker.move(event)
