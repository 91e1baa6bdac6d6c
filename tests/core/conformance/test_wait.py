"""Waiting for some of many."""

from __future__ import annotations

import pytest

import shoal


@pytest.mark.short
def test_ready_and_not_ready(gate) -> None:
    ready_one, blocked = shoal.put(1), gate.wait.remote()
    assert shoal.wait([blocked, ready_one]) == ([ready_one], [blocked])
    gate.open.remote()
    assert shoal.wait([blocked, ready_one], num_returns=2) == ([blocked, ready_one], [])


def test_at_most_num_returns_are_ready() -> None:
    refs = [shoal.put(i) for i in range(4)]
    for number in (1, 3):
        ready, others = shoal.wait(refs, num_returns=number)
        assert len(ready) == number
        assert ready == [ref for ref in refs if ref in ready]
        assert others == [ref for ref in refs if ref not in ready]


def test_both_lists_keep_the_order(new_gate) -> None:
    gates = [new_gate() for _ in range(4)]
    refs = [gate.wait.remote() for gate in gates]
    for i in (3, 1):
        gates[i].open.remote()
    assert shoal.wait(refs, num_returns=2) == ([refs[1], refs[3]], [refs[0], refs[2]])


def test_empty_list() -> None:
    assert shoal.wait([]) == ([], [])


def test_timeout(gate) -> None:
    refs = [gate.wait.remote(), gate.wait.remote()]
    assert shoal.wait(refs, timeout=0.01) == ([], refs)
    assert shoal.wait(refs, timeout=0) == ([], refs)
    done = shoal.put(1)
    assert shoal.wait([*refs, done], num_returns=2, timeout=0.01) == ([done], refs)


def test_failed_task_is_ready() -> None:
    @shoal.remote
    def fail():
        raise ValueError

    ref = fail.remote()
    assert shoal.wait([ref]) == ([ref], [])


def test_tasks_run_while_the_caller_waits(gate) -> None:
    @shoal.remote
    def square(x):
        return x * x

    pending = [square.remote(x) for x in range(10)]
    results = []
    while pending:
        ready, pending = shoal.wait(pending)
        results.extend(shoal.get(ready))
    assert sorted(results) == [x * x for x in range(10)]


def test_wait_inside_a_task(gate) -> None:
    @shoal.remote
    def wait_for(refs):
        ready, not_ready = shoal.wait(refs, num_returns=1)
        return len(ready), len(not_ready)

    assert shoal.get(wait_for.remote([gate.wait.remote(), shoal.put(1)])) == (1, 1)


def test_object_need_not_be_here() -> None:
    ref = shoal.put(1)
    assert shoal.wait([ref], fetch_local=False) == ([ref], [])


@pytest.mark.parametrize("num_returns", [0, -1, 3])
def test_bad_number(num_returns) -> None:
    refs = [shoal.put(1), shoal.put(2)]
    with pytest.raises(ValueError):
        shoal.wait(refs, num_returns=num_returns)


def test_duplicates_are_an_error() -> None:
    ref = shoal.put(1)
    with pytest.raises(ValueError):
        shoal.wait([ref, ref])


def test_bare_reference_is_an_error() -> None:
    with pytest.raises(TypeError):
        shoal.wait(shoal.put(1))


@pytest.mark.parametrize("wrong", [[1], ["ref"], 5])
def test_only_references_can_be_waited_for(wrong) -> None:
    with pytest.raises(TypeError):
        shoal.wait(wrong)


def test_negative_timeout_is_an_error() -> None:
    with pytest.raises(ValueError):
        shoal.wait([shoal.put(1)], timeout=-1)


@pytest.mark.needs("streaming")
def test_generators_can_be_waited_for(gate) -> None:
    @shoal.remote
    def items(gate):
        yield 1
        shoal.get(gate.wait.remote())
        yield 2

    generator = items.remote(gate)
    assert shoal.wait([generator], fetch_local=False) == ([generator], [])
    assert shoal.get(next(generator)) == 1
    assert shoal.wait([generator], timeout=0, fetch_local=False) == ([], [generator])
    gate.open.remote()
    assert shoal.wait([generator], fetch_local=False) == ([generator], [])
    assert shoal.get(next(generator)) == 2
