"""The pool, held against the standard library's."""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.pool
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal.util.multiprocessing import Pool
from shoal.util.multiprocessing import TimeoutError as PoolTimeoutError


@pytest.fixture(scope="module")
def pool(session: None) -> Iterator[Pool]:
    made = Pool(2)
    yield made
    made.close()
    made.join()


def reciprocal(number: int) -> float:
    return 1 / number


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-5, 5), max_size=20), st.none() | st.integers(1, 7))
def test_maps_are_those_of_the_standard_library(pool: Pool, items: list[int], chunksize: int | None) -> None:
    expected = [abs(item) for item in items]
    assert pool.map(abs, items, chunksize) == expected
    assert pool.map_async(abs, items, chunksize).get() == expected
    assert pool.starmap(pow, [(item, 2) for item in items], chunksize) == [item**2 for item in items]
    assert list(pool.imap(abs, items, chunksize or 1)) == expected
    assert sorted(pool.imap_unordered(abs, items, chunksize or 1)) == sorted(expected)


def test_apply_passes_arguments(pool: Pool) -> None:
    assert pool.apply(lambda *args, **kwargs: (args, kwargs), (1, 2), {"a": 3}) == ((1, 2), {"a": 3})
    assert pool.apply(dict) == {}


def test_a_map_raises_what_the_function_raised(pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        pool.map(reciprocal, [1, 0, 2])
    assert type(caught.value) is ZeroDivisionError
    assert isinstance(caught.value.__cause__, multiprocessing.pool.RemoteTraceback)
    assert "in reciprocal" in str(caught.value.__cause__)


def test_imap_raises_at_the_item_and_goes_on(pool: Pool) -> None:
    results = pool.imap(reciprocal, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results) == 0.5
    with pytest.raises(StopIteration):
        next(results)


def test_imap_raises_what_the_iterable_raised_after_the_items_before(pool: Pool) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    results = pool.imap(abs, numbers())
    assert next(results) == 1
    with pytest.raises(LookupError, match="no more"):
        next(results)


def test_callbacks_are_called_before_get_returns(pool: Pool) -> None:
    heard: list[Any] = []
    assert pool.apply_async(abs, (-3,), callback=heard.append).get() == 3
    assert pool.map_async(abs, [-1, -2], callback=heard.append).get() == [1, 2]
    with pytest.raises(ZeroDivisionError):
        pool.apply_async(
            reciprocal, (0,), callback=heard.append, error_callback=lambda error: heard.append(type(error))
        ).get()
    assert heard == [3, [1, 2], ZeroDivisionError]


def test_a_callback_that_raises_is_reported_and_others_go_on(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_type))
    assert pool.apply_async(abs, (-1,), callback=lambda value: 1 / 0).get() == 1
    assert pool.apply(abs, (-2,)) == 2
    assert reported == [ZeroDivisionError]


def test_results_can_be_waited_for_and_asked_about(pool: Pool) -> None:
    release = shoal.util.queue.Queue()
    result = pool.apply_async(release.get)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(PoolTimeoutError):
        result.get(timeout=0.1)
    result.wait(0.1)
    assert not result.ready()
    release.put("there")
    assert result.get(timeout=30) == "there"
    assert result.ready()
    assert result.successful()


def test_imap_times_out(pool: Pool) -> None:
    release = shoal.util.queue.Queue()
    results = pool.imap(lambda queue: queue.get(), [release])
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.1)
    release.put(4)
    assert results.next(timeout=30) == 4


def test_an_iterable_may_be_endless(pool: Pool) -> None:
    results = pool.imap(abs, iter(range(-1000, 0)), chunksize=10)
    assert list(itertools.islice(results, 3)) == [1000, 999, 998]


def test_an_iterable_is_read_little_further_than_there_is_work_for_it() -> None:
    release = shoal.util.queue.Queue()
    read: list[int] = []

    def numbers() -> Iterator[tuple[Any, int]]:
        for number in itertools.count():
            read.append(number)
            yield release, number

    with Pool(1) as pool:
        results = pool.imap(lambda item: item[0].get() + item[1], numbers())
        for number in range(3):
            release.put(10)
            assert results.next(timeout=30) == 10 + number
            assert len(read) <= number + 6


def test_a_result_that_cannot_be_pickled_is_the_standard_librarys_error(pool: Pool) -> None:
    with pytest.raises(multiprocessing.pool.MaybeEncodingError, match="cannot pickle"):
        pool.apply(threading.Lock)


def test_an_open_pool_that_is_forgotten_is_warned_of() -> None:
    pool = Pool(1)
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        del pool


def test_an_initializer_runs_in_each_process() -> None:
    def initialize(value: str) -> None:
        os.environ["POOL"] = value

    with Pool(2, initialize, ("ready",)) as pool:
        assert set(pool.map(lambda name: os.environ[name], ["POOL"] * 10)) == {"ready"}


def test_an_initializer_that_fails_is_told() -> None:
    def initialize() -> None:
        raise ValueError("not today")

    with Pool(1, initialize) as pool, pytest.raises(shoal.exceptions.ActorDiedError, match="not today"):
        pool.apply(abs, (1,))


def test_processes_are_replaced_after_their_tasks() -> None:
    with Pool(1, maxtasksperchild=2) as pool:
        pids = pool.map(lambda _: os.getpid(), range(6), chunksize=1)
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [2, 2, 2]


def test_a_process_that_dies_fails_its_call_and_no_other(pool: Pool) -> None:
    died = pool.apply_async(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(shoal.exceptions.WorkerCrashedError, match="SIGKILL"):
        died.get(timeout=30)
    assert pool.apply(abs, (-1,)) == 1


def test_a_closed_pool_ends_its_calls_and_takes_no_more() -> None:
    pool = Pool(2)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    result, later = pool.map_async(abs, range(20)), pool.imap(abs, range(-20, 0))
    pool.close()
    pool.join()
    assert result.get() == list(range(20))
    assert list(later) == list(range(20, 0, -1))
    with pytest.raises(ValueError, match="not running"):
        pool.map(abs, [1])
    assert repr(pool).endswith(".Pool state=CLOSE pool_size=2>")


def test_terminate_ends_what_runs_and_what_waits() -> None:
    pool = Pool(1)
    release = shoal.util.queue.Queue()
    running, waiting = pool.apply_async(release.get), pool.apply_async(abs, (1,))
    pool.terminate()
    pool.join()
    with pytest.raises(RuntimeError, match="terminated"):
        waiting.get(timeout=30)
    with pytest.raises(shoal.exceptions.ShoalError):
        running.get(timeout=30)


def test_there_may_be_more_processes_than_cpus(tmp_path: Path) -> None:
    def meet(number: int) -> int:
        (tmp_path / str(number)).touch()
        while len(list(tmp_path.iterdir())) < 8:
            pass
        return number

    with Pool(8) as pool:
        assert pool.map(meet, range(8), chunksize=1) == list(range(8))


def test_a_pool_in_a_task_of_a_pool() -> None:
    def inner(number: int) -> int:
        with Pool(1) as pool:
            return sum(pool.map(abs, [-number, -number]))

    with Pool(4) as pool:
        assert pool.map(inner, range(6), chunksize=1) == [2 * number for number in range(6)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"processes": 0}, ValueError),
        ({"maxtasksperchild": 0}, ValueError),
        ({"maxtasksperchild": "many"}, ValueError),
        ({"initializer": 3}, TypeError),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Pool(**arguments)


def test_a_bad_chunk_size_is_named(pool: Pool) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(abs, [1], chunksize=0)


def test_a_pool_cannot_be_sent(pool: Pool) -> None:
    with pytest.raises(NotImplementedError):
        pool.__reduce__()
