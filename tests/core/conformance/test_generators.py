"""Streaming results: generators as tasks and as methods."""

from __future__ import annotations

import pytest

import shoal
from shoal.exceptions import GetTimeoutError, RayTaskError

pytestmark = pytest.mark.needs("streaming")


@pytest.fixture
def count_to():
    @shoal.remote
    def count_to(n):
        for i in range(n):  # noqa: UP028 - Ray sends into generators, which a range does not understand
            yield i

    return count_to


def test_items_come_in_order(count_to) -> None:
    generator = count_to.remote(5)
    assert isinstance(generator, shoal.ObjectRefGenerator)
    assert [shoal.get(ref) for ref in generator] == [0, 1, 2, 3, 4]


def test_end_is_the_end(count_to) -> None:
    generator = count_to.remote(1)
    assert shoal.get(next(generator)) == 0
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(generator)


def test_no_items(count_to) -> None:
    assert list(count_to.remote(0)) == []


@pytest.mark.short
def test_items_are_there_before_the_end(gate) -> None:
    @shoal.remote
    def items(gate):
        yield "first"
        yield shoal.get(gate.wait.remote())

    generator = items.remote(gate)
    assert shoal.get(next(generator)) == "first"
    assert not generator.is_finished()
    gate.open.remote()
    assert shoal.get(next(generator)) == "open"
    with pytest.raises(StopIteration):
        next(generator)
    assert generator.is_finished()


def test_task_runs_ahead_of_its_consumer(log) -> None:
    @shoal.remote
    def items(log):
        for i in range(3):
            shoal.get(log.note.remote(i))
            yield i

    generator = items.remote(log)
    shoal.get(generator.completed())
    assert shoal.get(log.read.remote()) == [0, 1, 2]
    assert [shoal.get(ref) for ref in generator] == [0, 1, 2]


@pytest.mark.short
def test_error_is_the_last_item() -> None:
    @shoal.remote(max_retries=0)
    def items():
        yield 1
        raise ValueError("in the body")

    generator = items.remote()
    assert shoal.get(next(generator)) == 1
    failed = next(generator)
    with pytest.raises(ValueError, match="in the body"):
        shoal.get(failed)
    with pytest.raises(StopIteration):
        next(generator)


def test_error_before_the_first_item() -> None:
    @shoal.remote(max_retries=0)
    def items():
        raise ValueError("at once")
        yield 1

    [failed] = list(items.remote())
    with pytest.raises(ValueError, match="at once"):
        shoal.get(failed)


def test_completed_reference(count_to) -> None:
    generator = count_to.remote(2)
    shoal.get(generator.completed())
    assert [shoal.get(ref) for ref in generator] == [0, 1]


@pytest.mark.needs("completed_errors")
@pytest.mark.shoal_only  # Ray's reference is ready without the error
def test_completed_reference_raises_the_error() -> None:
    @shoal.remote(max_retries=0)
    def broken():
        yield 1
        raise ValueError("in the body")

    generator = broken.remote()
    with pytest.raises(ValueError, match="in the body"):
        shoal.get(generator.completed())


def test_next_ready(gate) -> None:
    @shoal.remote
    def items(gate):
        yield shoal.get(gate.wait.remote())

    generator = items.remote(gate)
    assert not generator.next_ready()
    gate.open.remote()
    shoal.wait([generator], fetch_local=False)
    assert generator.next_ready()


def test_streaming_on_request() -> None:
    @shoal.remote(num_returns="streaming")
    def declared():
        yield 1

    @shoal.remote
    def plain(n):
        for i in range(n):  # noqa: UP028
            yield i

    assert [shoal.get(ref) for ref in declared.remote()] == [1]
    assert [shoal.get(ref) for ref in plain.options(num_returns="streaming").remote(2)] == [0, 1]


@pytest.mark.shoal_only  # Ray sends into the generator, which a range does not understand
def test_yield_from_any_iterable() -> None:
    @shoal.remote
    def items():
        yield from range(3)

    @shoal.remote(num_returns="streaming")
    def returned():
        return iter("ab")

    assert [shoal.get(ref) for ref in items.remote()] == [0, 1, 2]
    assert [shoal.get(ref) for ref in returned.remote()] == ["a", "b"]


def test_fixed_number_of_results_from_a_generator() -> None:
    @shoal.remote(num_returns=3)
    def items():
        yield from range(3)

    assert shoal.get(items.remote()) == [0, 1, 2]


def test_references_are_usable_as_arguments(count_to) -> None:
    @shoal.remote
    def double(x):
        return 2 * x

    assert shoal.get([double.remote(ref) for ref in count_to.remote(3)]) == [0, 2, 4]


def test_items_outlive_the_generator(count_to) -> None:
    refs = list(count_to.remote(3))
    assert shoal.get(refs) == [0, 1, 2]


def test_dropped_generator_does_no_harm(log) -> None:
    @shoal.remote
    def items(log):
        for i in range(5):
            shoal.get(log.note.remote(i))
            yield i

    next(items.remote(log))
    assert shoal.get(log.read.remote())[:1] == [0]


def test_producer_waits_for_its_consumer(log) -> None:
    @shoal.remote(_generator_backpressure_num_objects=2)
    def items(log):
        for i in range(6):
            shoal.get(log.note.remote(i))
            yield i

    generator = items.remote(log)
    for i in range(6):
        assert shoal.get(next(generator)) == i
        assert len(shoal.get(log.read.remote())) <= i + 4
    with pytest.raises(StopIteration):
        next(generator)


def test_generator_cannot_be_passed_on(count_to) -> None:
    @shoal.remote
    def use(generator):
        return list(generator)

    with pytest.raises((TypeError, ValueError)):
        use.remote(count_to.remote(2))


def test_error_class_of_a_failed_item() -> None:
    @shoal.remote(max_retries=0)
    def items():
        yield 1
        raise KeyError("lost")

    *_, failed = items.remote()
    with pytest.raises(RayTaskError) as caught:
        shoal.get(failed)
    assert isinstance(caught.value, KeyError)
    assert not isinstance(caught.value, GetTimeoutError)


def test_dynamic_number_of_results() -> None:
    @shoal.remote(num_returns="dynamic")
    def items(n):
        yield from range(n)

    generator = shoal.get(items.remote(3))
    assert len(generator) == 3
    assert [shoal.get(ref) for ref in generator] == [0, 1, 2]


def test_retried_generator_gives_every_item_once(counter) -> None:
    @shoal.remote(retry_exceptions=True, max_retries=2)
    def items(counter):
        yield "a"
        if shoal.get(counter.add.remote()) < 2:
            raise ValueError
        yield "b"

    assert [shoal.get(ref) for ref in items.remote(counter)] == ["a", "b"]
